package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"pxkv/node/kv"
)

func newReplicasCommand() *cobra.Command {
	var flags clientFlags
	var output outputFlag
	cmd := &cobra.Command{
		Use:   "replicas N",
		Short: "Want another number of replicas of each partition",
		Long: `Want another number of replicas of each partition, 1 to 9. They are made or removed while
everything is served, one group at a time, and this returns as soon as the cluster wants them:
"pxkv status --wait 10m" waits until they are there. With fewer members than replicas, every
member has everything.

With 1 or 2 no node may fail, whatever the number of members, so that "pxkv status" says no for
ever, and "--wait" waits in vain: its line "complete" says when nothing moves any more.

It is refused, with all reasons, while a member departs or does not answer, while something is
not served, and where a store has no room for what would come.`,
		Example: "  pxkv replicas 3 && pxkv status --wait 10m",
		Args:    takes("N"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if n, err := strconv.Atoi(args[0]); err != nil || n < 1 {
				return usageError(cmd, "%q is not a number of replicas, 1 or more", args[0])
			}
			if err := output.check(cmd); err != nil {
				return err
			}
			c, err := flags.client(cmd)
			if err != nil {
				return err
			}
			r := &request{
				method: http.MethodPut, path: "/cluster/replicas", query: url.Values{"wanted": {args[0]}},
				also: http.StatusConflict, timed: true, again: "it does no harm to repeat it",
			}
			var v kv.OrderView
			if _, err := c.viewOr(cmd.Context(), r, &v); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			switch {
			case output.json():
				err = writeJSON(out, v)
			case len(v.Refused) == 0:
				_, err = fmt.Fprintf(out, "%s of each partition wanted; pxkv status shows when they are there\n",
					plural(v.Replicas, "replica"))
			}
			if err == nil && len(v.Refused) > 0 {
				err = failure(exitFailed, "the number of replicas stays %d:%s", v.Replicas, list(v.Refused))
			}
			return err
		},
	}
	flags.add(cmd)
	output.add(cmd)
	return cmd
}
