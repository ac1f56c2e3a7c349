package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"pxkv/node/kv"
)

// orderFlags are those of the commands that change who is a member.
type orderFlags struct {
	clientFlags

	output   outputFlag
	replicas int
	wait     bool
	longest  time.Duration
}

func (f *orderFlags) add(cmd *cobra.Command) {
	f.clientFlags.add(cmd)
	f.output.add(cmd)
	addReplicasAfter(cmd, &f.replicas)
	cmd.Flags().BoolVar(&f.wait, "wait", true, "wait until the node is gone, and show how far it is")
	cmd.Flags().DurationVar(&f.longest, "wait-timeout", 0, "wait at most so long (30m); 0 is as long as it takes")
}

const leavePath = "/cluster/leave"

const replicasAfter = "replicas-after"

func addReplicasAfter(cmd *cobra.Command, n *int) {
	cmd.Flags().IntVar(n, replicasAfter, 0,
		"how many replicas a partition has afterwards, until pxkv replicas says otherwise (default: as many as now)")
}

// checkReplicasAfter reports a number that means nothing.
func checkReplicasAfter(cmd *cobra.Command, n int) error {
	if n < 1 && cmd.Flags().Changed(replicasAfter) {
		return usageError(cmd, "--%s must be 1 or more, not %d", replicasAfter, n)
	}
	return nil
}

// client checks the flags as well.
func (f *orderFlags) client(cmd *cobra.Command) (*client, error) {
	if err := f.output.check(cmd); err != nil {
		return nil, err
	}
	if err := checkReplicasAfter(cmd, f.replicas); err != nil {
		return nil, err
	}
	if f.longest < 0 {
		return nil, usageError(cmd, "--wait-timeout must not be negative")
	}
	if !f.wait && f.longest != 0 {
		return nil, usageError(cmd, "--wait-timeout goes with --wait only")
	}
	return f.clientFlags.client(cmd)
}

func newLeaveCommand() *cobra.Command {
	var f orderFlags
	var cancel bool
	var plan uint64
	cmd := &cobra.Command{
		Use:   "leave [NAME]",
		Short: "Let a node leave the cluster, or stay after all",
		Long: `Let a node leave the cluster, the one that is asked (--server) or the member NAME. Its
replicas move to the other members while everything is served; when no partition has one on it
any more it is no member, and its process ends with exit code 0. What could not end well is
refused, with all reasons, and nothing changes: see "pxkv plan remove NAME".

The command waits for that and shows how far it is; ended by Ctrl-C, it says how the departure,
which goes on, is cancelled. When nothing moves for a minute it says so, with what is waited for, and
goes on waiting: with --wait-timeout it ends with exit code 1 when that time is over. --wait=false
returns as soon as the node is leaving.`,
		Example: `  pxkv leave n4 --server a:8080
  pxkv leave n4 --cancel
  pxkv plan remove n4 && pxkv leave n4 --plan 12`,
		Args: takesOneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			flags := cmd.Flags()
			switch {
			case cancel && (flags.Changed(replicasAfter) || flags.Changed("plan")):
				return usageError(cmd, "--cancel takes back what was said: it goes with none of --%s, --plan",
					replicasAfter)
			case flags.Changed("plan") && plan == 0:
				return usageError(cmd, "--plan wants the epoch of a plan, 1 or more")
			}
			c, err := f.client(cmd)
			if err != nil {
				return err
			}
			if len(args) == 0 && len(c.bases) > 1 {
				return usageError(cmd, "name the node: of several servers it is not known which one is asked")
			}
			name := ""
			if len(args) == 1 {
				name = args[0]
			}
			o := order{
				request: request{method: http.MethodPost, path: leavePath, query: url.Values{}},
				refusal: "does not leave", begun: "is leaving", done: "has left the cluster",
			}
			if cancel {
				o.request.method, o.refusal, o.done = http.MethodDelete, "does not stay", "stays in the cluster"
				f.wait = false
			}
			if plan != 0 {
				o.request.query.Set("plan", strconv.FormatUint(plan, 10))
			}
			return o.carryOut(cmd, c, &f, name)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&cancel, "cancel", false, "let a node stay that is leaving")
	cmd.Flags().Uint64Var(&plan, "plan", 0, "refuse if the placement is not of this `EPOCH` any more, as a plan showed it")
	return cmd
}

func newRemoveCommand() *cobra.Command {
	var f orderFlags
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Give a dead node up",
		Long: `Give a member up that is dead for ever: its replicas are made anew on other members, and
then it is no member. A process that is started on its data directory after that is refused. While any member has
heard it in the last ten seconds, or a partition needs its vote, that is refused; one that is heard before
the end stays a member. "pxkv leave" is for nodes that live.

It need not be removed to be replaced: a new node of its name, with an empty data directory, takes its place.

The command waits as "pxkv leave" does.`,
		Example: "  pxkv remove n4 --server a:8080",
		Args:    takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" { // as of a script's variable that is not set
				return usageError(cmd, "NAME is empty")
			}
			c, err := f.client(cmd)
			if err != nil {
				return err
			}
			o := order{
				request: request{
					method: http.MethodDelete, path: "/cluster/members/" + url.PathEscape(args[0]), query: url.Values{},
				},
				refusal: "is not removed", begun: "is given up, and its replicas are made anew elsewhere",
				done: "is removed",
			}
			return o.carryOut(cmd, c, &f, args[0])
		},
	}
	f.add(cmd)
	return cmd
}

// order is a change of members, and what is said of it behind the name of the node.
type order struct {
	request              request
	refusal, begun, done string
}

// ordered is what became of an order.
type ordered struct {
	kv.OrderView

	Gone bool `json:"gone"` // it was waited for, and the node is no member any more
}

// carryOut gives an order about a member, the node that answers when name is empty, and waits for its end if that is
// wanted.
func (o *order) carryOut(cmd *cobra.Command, c *client, f *orderFlags, name string) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	var view kv.ClusterView
	if err := c.view(ctx, "/cluster", &view); err != nil {
		return err
	}
	if err := inCluster(&view); err != nil {
		return err
	}
	if name == "" {
		name = view.Node
	}
	if f.replicas > 0 {
		o.request.query.Set("replicas_after", strconv.Itoa(f.replicas))
	}
	if o.request.path == leavePath {
		o.request.query.Set("node", name)
	}
	v, err := o.give(ctx, c)
	if err != nil {
		return err
	}
	result := ordered{OrderView: v}
	text := func() error {
		if f.output.json() {
			return writeJSON(out, result)
		}
		if result.Gone || v.State == kv.Active || v.State == kv.Joining {
			_, err = fmt.Fprintf(out, "%s %s\n", v.Node, o.done)
		} else {
			_, err = fmt.Fprintf(out, "%s %s; pxkv members shows how far that is\n", v.Node, o.begun)
		}
		return err
	}
	switch {
	case len(v.Refused) > 0:
		if f.output.json() {
			if err := writeJSON(out, result); err != nil {
				return err
			}
		}
		return failure(exitFailed, "%s %s:%s", v.Node, o.refusal, list(v.Refused))
	case !f.wait:
		return text()
	}
	if err := follow(c, v, &view, cmd.ErrOrStderr()).untilGone(ctx, f.longest); err != nil {
		return err
	}
	result.Gone = true
	return text()
}

// give makes the call.
func (o *order) give(ctx context.Context, c *client) (v kv.OrderView, err error) {
	r := &o.request
	r.also, r.timed, r.again = http.StatusConflict, true, "it does no harm to repeat it"
	_, err = c.viewOr(ctx, r, &v)
	return v, err
}
