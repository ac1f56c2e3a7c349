package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"pxkv/node/kv"
)

// planChanges are what a plan can be asked for.
var planChanges = []string{"add", "remove", "replace"}

func newPlanCommand() *cobra.Command {
	var flags clientFlags
	var output outputFlag
	var replicas int
	cmd := &cobra.Command{
		Use:   "plan add|remove|replace NAME",
		Short: "Show what would move if a node came, went, or were replaced",
		Long: `Show what would move if a node came, went, or were replaced, by the word of all members now:
which partitions from where to where, about how many bytes, about how long that takes (longer where the
nodes are busy or have a --move-rate), and which partitions could not bear the failure of one more node
meanwhile. Nothing is changed by it.

"remove" is how the member leaves ("pxkv leave"), or where it does not answer how it is given up ("pxkv remove");
of one that is on its way out already, it is what is left of that.
"replace" is a new node of its name with an empty data directory. Which partitions a new node gets depends on an id
that it draws at its first start: what "add" shows is one such case.

Exit code 1 when the change would be refused now; the reasons are printed.`,
		Example: "  pxkv plan remove n4 --server a:8080",
		Args:    takes("add, remove or replace", "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			change, name := args[0], args[1]
			switch {
			case !slices.Contains(planChanges, change):
				return usageError(cmd, "a plan is to %s a node, not to %q it", strings.Join(planChanges, " or "),
					change)
			case name == "":
				return usageError(cmd, "NAME is empty")
			case change != "remove" && cmd.Flags().Changed(replicasAfter):
				return usageError(cmd, "--%s goes with remove only", replicasAfter)
			}
			if err := checkReplicasAfter(cmd, replicas); err != nil {
				return err
			}
			if err := output.check(cmd); err != nil {
				return err
			}
			c, err := flags.client(cmd)
			if err != nil {
				return err
			}
			r := &request{method: http.MethodGet, path: "/cluster/plan", query: url.Values{change: {name}}, timed: true}
			if replicas > 0 {
				r.query.Set("replicas_after", strconv.Itoa(replicas))
			}
			var v kv.PlanView
			if _, err := c.viewOr(cmd.Context(), r, &v); err != nil {
				return err
			}
			show := writePlan
			if output.json() {
				show = func(w io.Writer, v *kv.PlanView) error { return writeJSON(w, v) }
			}
			if err := show(cmd.OutOrStdout(), &v); err != nil {
				return err
			}
			if len(v.Refused) > 0 {
				return failure(exitFailed, "it would be refused now:%s", list(v.Refused))
			}
			return nil
		},
	}
	flags.add(cmd)
	output.add(cmd)
	addReplicasAfter(cmd, &replicas)
	return cmd
}

func writePlan(w io.Writer, v *kv.PlanView) error {
	if len(v.Moves) > 0 {
		t := newTable(w)
		fmt.Fprintln(t, "PARTITION\tFROM\tTO\tNEW LEADER\tBYTES")
		for _, m := range v.Moves {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", m.Partition, orDash(strings.Join(m.From, " ")),
				orDash(strings.Join(m.To, " ")), orDash(m.Leader), sizeText(m.Bytes))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	moved, led := 0, 0
	for _, m := range v.Moves {
		if len(m.From)+len(m.To) > 0 {
			moved++
		}
		if m.Leader != "" {
			led++
		}
	}
	fmt.Fprintf(w, "to %s %s: replicas of %s, new leaders of %d; about %s to receive, about %v; epoch %d\n", v.Change,
		v.Node, plural(moved, "partition"), led, sizeText(v.Bytes), seconds(v.Seconds), v.Epoch)
	if len(v.Moves)+len(v.AtRisk) == 0 { // there is no meanwhile
		return nil
	}
	risk := "every partition could bear the failure of one more node meanwhile"
	if len(v.AtRisk) > 0 {
		const most = 10 // that are named
		risk = fmt.Sprintf("%s could not bear the failure of one more node meanwhile: %s",
			plural(len(v.AtRisk), "partition"), kv.PartitionList(v.AtRisk, most))
	}
	_, err := fmt.Fprintln(w, risk)
	return err
}
