package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"pxkv/node/kv"
)

func newPartitionsCommand() *cobra.Command {
	return newViewCommand("partitions", "List the partitions, their leaders and replicas",
		`List the partitions: their slots, the leader as far as the node asked knows it, the
nodes that hold a replica, by the word of the leader, with what does not count or keep up, those that should hold one
in ring order (the first is the preferred leader), and what a partition lacks.`,
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
			fmt.Fprintln(t, "PARTITION\tSLOTS\tLEADER\tREPLICAS\tWANTED\tLACKS")
			for _, p := range view {
				wanted := make([]string, len(p.Wanted))
				for i, r := range p.Wanted {
					wanted[i] = r.Node
				}
				lacks := p.Lacks
				if p.Waits != "" && lacks != "" && p.Waits != lacks {
					lacks += " (" + p.Waits + ")"
				}
				fmt.Fprintf(t, "%s\t%d-%d\t%s\t%s\t%s\t%s\n", p.Partition, p.Slots[0], p.Slots[1], orDash(p.Leader),
					orDash(replicasText(&p)), strings.Join(wanted, " "), orDash(lacks))
			}
			return t.Flush()
		})
}

// replicasText names the nodes that hold a replica, those that do not count or keep up with what they are.
func replicasText(p *kv.PartitionView) string {
	var out []string
	for _, r := range p.Replicas {
		text := r.Node
		var what []string
		if r.Role != kv.RoleVoter {
			what = append(what, string(r.Role))
		}
		switch {
		case !r.Answers:
			what = append(what, "silent")
		case r.Snapshot:
			what = append(what, "snapshot under way")
		case !r.Caught:
			what = append(what, fmt.Sprintf("%d behind", r.Behind))
		}
		if len(what) > 0 {
			text += "(" + strings.Join(what, ", ") + ")"
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}
