package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"pxkv/node/kv"
)

func newMembersCommand() *cobra.Command {
	return newViewCommand("members", "List the members of the cluster",
		`List the members of the cluster, as the node asked knows them: name, id, state,
whether gossip reaches it, how many replicas it holds that are caught up, of how many it should hold, how many
partitions it leads, and its addresses.`,
		func(cmd *cobra.Command, c *client, asJSON bool) error {
			var view kv.ClusterView
			if err := c.view(cmd.Context(), "/cluster", &view); err != nil {
				return err
			}
			if err := inCluster(&view); err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), view.Members)
			}
			t := newTable(cmd.OutOrStdout())
			fmt.Fprintln(t, "NAME\tID\tSTATE\tREACHABLE\tREPLICAS\tWANTED\tLEADERS\tHTTP\tPEER\tGOSSIP")
			for _, m := range view.Members {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\n", m.Name, m.ID, m.State, yesNo(m.Reachable),
					m.Replicas, m.Wanted, m.Leaders,
					orDash(m.Addresses.HTTP), orDash(m.Addresses.Peer), orDash(m.Addresses.Gossip))
			}
			return t.Flush()
		})
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
