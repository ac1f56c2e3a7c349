package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"pxkv/node/kv"
)

func newPartitionsCommand() *cobra.Command {
	return newViewCommand("partitions", "List the partitions, their leaders and replicas",
		`List the partitions: their slots, the leader as far as the node asked knows it, and
the nodes that hold a replica, in ring order (the first is the preferred leader).`,
		func(cmd *cobra.Command, c *client, asJSON bool) error {
			var view []kv.PartitionView
			if err := c.view(cmd.Context(), "/cluster/partitions", &view); err != nil {
				return err
			}
			if len(view) == 0 {
				var cluster kv.ClusterView
				if err := c.view(cmd.Context(), "/cluster", &cluster); err != nil {
					return err
				}
				if err := inCluster(&cluster); err != nil {
					return err
				}
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), view)
			}
			t := newTable(cmd.OutOrStdout())
			fmt.Fprintln(t, "PARTITION\tSLOTS\tLEADER\tREPLICAS")
			for _, p := range view {
				nodes := make([]string, len(p.Replicas))
				for i, r := range p.Replicas {
					nodes[i] = r.Node
				}
				fmt.Fprintf(t, "%s\t%d-%d\t%s\t%s\n", p.Partition, p.Slots[0], p.Slots[1], orDash(p.Leader),
					strings.Join(nodes, " "))
			}
			return t.Flush()
		})
}
