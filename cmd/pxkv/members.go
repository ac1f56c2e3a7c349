package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"pxkv/node/kv"
)

func newMembersCommand() *cobra.Command {
	var removed bool
	cmd := newViewCommand("members", "List the members of the cluster",
		`List the members of the cluster, as the node asked knows them: name, id, state,
whether gossip reaches it, how many replicas it holds that are caught up, of how many it should hold, how many
partitions it leads, its zone where any has one, and its addresses. Below stands how far those are that leave, or are
given up. --removed lists the latest former members instead, and why they are none any more.`,
		func(cmd *cobra.Command, c *client, asJSON bool) error {
			var view kv.ClusterView
			if err := c.view(cmd.Context(), "/cluster", &view); err != nil {
				return err
			}
			if err := inCluster(&view); err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			switch {
			case removed && asJSON:
				return writeJSON(w, append([]kv.RemovedView{}, view.Removed...)) // [] and not null
			case removed:
				return writeRemoved(w, view.Removed)
			case asJSON:
				return writeJSON(w, view.Members)
			}
			return writeMembers(w, view.Members)
		})
	cmd.Flags().BoolVar(&removed, "removed", false, "list the latest former members")
	return cmd
}

func writeMembers(w io.Writer, members []kv.MemberView) error {
	zones := slices.ContainsFunc(members, func(m kv.MemberView) bool { return m.Zone != "" })
	zone := func(text string) string {
		if !zones {
			return ""
		}
		return orDash(text) + "\t"
	}
	t := newTable(w)
	fmt.Fprintln(t, "NAME\tID\tSTATE\tREACHABLE\tREPLICAS\tWANTED\tLEADERS\t"+zone("ZONE")+"HTTP\tPEER\tGOSSIP")
	for _, m := range members {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s%s\t%s\t%s\n", m.Name, m.ID, m.State, yesNo(m.Reachable),
			m.Replicas, m.Wanted, m.Leaders, zone(m.Zone),
			orDash(m.Addresses.HTTP), orDash(m.Addresses.Peer), orDash(m.Addresses.Gossip))
	}
	for i := range members {
		if members[i].Departure != nil {
			fmt.Fprintln(t, departingText(&members[i]))
		}
	}
	return t.Flush()
}

func writeRemoved(w io.Writer, removed []kv.RemovedView) error {
	t := newTable(w)
	fmt.Fprintln(t, "NAME\tID\tREMOVED\tWHY")
	for _, r := range removed {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.Name, r.ID, moment(r.AtMS), r.Cause.Text())
	}
	return t.Flush()
}

// inCluster is an error when the node asked is in no cluster: it knows of no members and no partitions, which is not
// to say that there are none.
func inCluster(view *kv.ClusterView) error {
	if view.ID != 0 {
		return nil
	}
	return failure(exitFailed, "node %s is not ready: %s", view.Node, view.NotReady)
}

// newViewCommand returns a command without arguments that shows something about the cluster.
func newViewCommand(name, short, long string,
	show func(cmd *cobra.Command, c *client, asJSON bool) error) *cobra.Command {
	var flags clientFlags
	var output outputFlag
	cmd := &cobra.Command{
		Use: name, Short: short, Long: long,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := output.check(cmd); err != nil {
				return err
			}
			c, err := flags.client(cmd)
			if err != nil {
				return err
			}
			return show(cmd, c, output.json())
		},
	}
	flags.add(cmd)
	output.add(cmd)
	return cmd
}
