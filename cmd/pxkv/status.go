package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"pxkv/node/kv"
)

func newStatusCommand() *cobra.Command {
	var quiet bool
	cmd := newViewCommand("status", "Say whether the cluster is healthy",
		`Say whether the cluster is healthy, as the node asked sees it: the node is ready and
every partition has a leader, so every key can be read and written. Exit code 1 when it
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
	notReady, err := c.notReady(ctx)
	if err != nil {
		return nil, err
	}
	return judge(&cluster, partitions, notReady), nil
}

// notReady returns why the node says that it is not ready; empty when it is.
func (c *client) notReady(ctx context.Context) (string, error) {
	resp, err := c.do(ctx, &request{method: http.MethodGet, path: "/readyz"})
	if err == nil {
		return "", resp.Body.Close()
	}
	if e, ok := errors.AsType[*unavailableError](err); ok {
		return e.text, nil
	}
	return "", err
}

// judge finds what is wrong with a cluster. It decides nothing else.
func judge(cluster *kv.ClusterView, partitions []kv.PartitionView, notReady string) *status {
	s := &status{
		Problems: []string{}, Warnings: []string{}, Leaderless: []kv.PartitionID{}, // [] in JSON, not null
		Cluster: cluster.ID, Name: cluster.Name, Node: cluster.Node, Ready: notReady == "",
		Epoch: cluster.Epoch, Version: cluster.Version, Members: len(cluster.Members), Partitions: cluster.Partitions,
	}
	problem := func(format string, args ...any) { s.Problems = append(s.Problems, fmt.Sprintf(format, args...)) }
	warning := func(format string, args ...any) { s.Warnings = append(s.Warnings, fmt.Sprintf(format, args...)) }
	if !s.Ready {
		problem("node %s is not ready: %s", s.Node, notReady)
	}
	holders := 0 // members that take part in the placement
	for _, m := range cluster.Members {
		if m.State == kv.Active {
			holders++
		}
		if m.Reachable {
			s.ReachableMembers++
		} else {
			warning("member %s (%s) is not reachable", m.Name, m.State)
		}
	}
	if len(partitions) != cluster.Partitions {
		problem("%d of %d partitions are placed", len(partitions), cluster.Partitions)
	}
	wanted := min(cluster.Replicas, holders)
	short := 0
	for _, p := range partitions {
		if p.Leader == "" {
			s.Leaderless = append(s.Leaderless, p.Partition)
		}
		if len(p.Replicas) < wanted {
			short++
		}
	}
	if n := len(s.Leaderless); n > 0 {
		problem("%d partitions have no known leader", n)
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
