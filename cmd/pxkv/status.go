package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"pxkv/cmd/pxkv/server"
	"pxkv/node/kv"
)

func newStatusCommand() *cobra.Command {
	var quiet bool
	cmd := newViewCommand("status", "Say whether the cluster is healthy",
		`Say whether the cluster is healthy, as the node asked sees it: the node is ready, so that
every partition has a leader that it can ask, and every key can be read and written. Exit code 1 when it
is not, with the reasons; also when the node does not answer.

A cluster that works with less safety than it should have, because a member is not
reachable or a partition has too few replicas, is healthy with a warning.`,
		func(cmd *cobra.Command, c *client, asJSON bool) error {
			s, err := readStatus(cmd.Context(), c)
			switch {
			case err != nil:
				return err
			case quiet:
			case asJSON:
				err = writeJSON(cmd.OutOrStdout(), s)
			default:
				err = s.writeText(cmd.OutOrStdout())
			}
			if err == nil && !s.Healthy {
				return failure(exitFailed, "not healthy: %s", strings.Join(s.Problems, "; "))
			}
			return err
		})
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print nothing but the reasons why it is not healthy")
	return cmd
}

// status is the health of a cluster as one node sees it.
type status struct {
	Healthy          bool             `json:"healthy"`
	Problems         []string         `json:"problems"` // why not
	Warnings         []string         `json:"warnings"` // what is wrong although everything is served
	Cluster          kv.ClusterID     `json:"cluster"`
	Name             string           `json:"name"`
	Node             string           `json:"node"` // who was asked
	Ready            bool             `json:"ready"`
	Epoch            kv.Epoch         `json:"epoch"`
	Version          int              `json:"version"`
	Members          int              `json:"members"`
	ReachableMembers int              `json:"reachable_members"`
	Partitions       int              `json:"partitions"`
	Leaderless       []kv.PartitionID `json:"leaderless_partitions"`
}

func readStatus(ctx context.Context, c *client) (*status, error) {
	var cluster kv.ClusterView
	if err := c.view(ctx, "/cluster", &cluster); err != nil {
		return nil, err
	}
	var partitions []kv.PartitionView
	if err := c.view(ctx, "/cluster/partitions", &partitions); err != nil {
		return nil, err
	}
	return judge(&cluster, partitions), nil
}

// judge finds what is wrong with a cluster. It decides nothing else. Who leads is taken from one answer
// alone: another one, a moment later, may contradict it.
func judge(cluster *kv.ClusterView, placed []kv.PartitionView) *status {
	s := &status{
		// [] in JSON, not null
		Problems: []string{}, Warnings: []string{}, Leaderless: append([]kv.PartitionID{}, cluster.Leaderless...),
		Cluster: cluster.ID, Name: cluster.Name, Node: cluster.Node, Ready: cluster.Ready,
		Epoch: cluster.Epoch, Version: cluster.Version, Members: len(cluster.Members), Partitions: cluster.Partitions,
	}
	problem := func(format string, args ...any) { s.Problems = append(s.Problems, fmt.Sprintf(format, args...)) }
	warning := func(format string, args ...any) { s.Warnings = append(s.Warnings, fmt.Sprintf(format, args...)) }
	if !s.Ready {
		problem("node %s is not ready: %s", s.Node, cluster.NotReady)
	}
	gone := map[string]bool{}
	holders := 0 // members that take part in the placement
	for _, m := range cluster.Members {
		if m.State == kv.Active {
			holders++
		}
		if m.Reachable {
			s.ReachableMembers++
		} else {
			gone[m.Name] = true
			warning("member %s (%s) is not reachable", m.Name, m.State)
		}
	}
	if len(placed) != cluster.Partitions {
		problem("%d of %d partitions are placed", len(placed), cluster.Partitions)
	}
	for _, text := range cluster.Warnings {
		warning("%s", text)
	}
	for _, m := range cluster.Waiting {
		warning("a newcomer waits for the place of member %s: %s", m.Name, m.Why)
	}
	wanted := min(cluster.Replicas, holders)
	if text := server.Intolerance(holders, cluster.Replicas); text != "" {
		warning("%s", text)
	}
	short, tight := 0, 0
	for _, p := range placed {
		up := 0
		for _, r := range p.Replicas {
			if !gone[r.Node] {
				up++
			}
		}
		if up < len(p.Replicas) && up == len(p.Replicas)/2+1 {
			tight++
		}
		if len(p.Replicas) < wanted {
			short++
		}
	}
	if tight > 0 {
		warning("%d partitions have just a majority of their replicas on members that are reachable: if one more of "+
			"these goes, nobody can read or write what is in them", tight)
	}
	if short > 0 {
		warning("%d partitions have fewer than %d replicas", short, wanted)
	}
	s.Healthy = len(s.Problems) == 0
	return s
}

func (s *status) writeText(w io.Writer) error {
	t := newTable(w)
	fmt.Fprintf(t, "cluster\t%s (%s), version %d\n", s.Name, s.Cluster, s.Version)
	fmt.Fprintf(t, "asked\t%s, ready: %s\n", s.Node, yesNo(s.Ready))
	fmt.Fprintf(t, "epoch\t%d\n", s.Epoch)
	fmt.Fprintf(t, "members\t%d, reachable: %d\n", s.Members, s.ReachableMembers)
	fmt.Fprintf(t, "partitions\t%d, without leader: %d\n", s.Partitions, len(s.Leaderless))
	fmt.Fprintf(t, "healthy\t%s\n", yesNo(s.Healthy))
	for _, p := range s.Problems {
		fmt.Fprintf(t, "problem\t%s\n", p)
	}
	for _, p := range s.Warnings {
		fmt.Fprintf(t, "warning\t%s\n", p)
	}
	return t.Flush()
}
