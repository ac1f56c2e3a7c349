package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"pxkv/node/health"
	"pxkv/node/kv"
	"pxkv/node/replica"
)

// Run does what goes on beside requests, until ctx ends.
func (n *Node) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { n.watchSpace(ctx) })
	wg.Go(func() { n.client.Watch(ctx) })
	wg.Go(func() { n.steer(ctx) })
	wg.Wait()
	return nil
}

// handOverLimit is how long a stopping node waits for others to take its leaderships.
const handOverLimit = 5 * time.Second

// HandOver gives every leadership to another node, so that stopping this one interrupts
// nothing. It returns when none is left and the writes that were proposed here have ended, or
// when nobody can take them in time.
func (n *Node) HandOver(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, handOverLimit)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		over := false
		if n.o.Loop.Do(ctx, func(h *replica.Host) { over = h.HandOver() }) != nil || over {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// Needed lists the partitions that are served now and that nobody can read or write while this node is down, by the
// word of their leaders, as SafeToStop says it. What this node knows of its ways to others would not do: those to one
// that has just started again are as old as its last look. It is nil when this node is the whole cluster, or when
// nothing is known before ctx ends.
func (n *Node) Needed(ctx context.Context) []kv.PartitionID {
	needed, _, err := n.LostWith(ctx)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(needed, func(p kv.PartitionID) bool { return p == kv.Meta })
}

// ErrOutdated says that this node does not know the newest placement yet.
var ErrOutdated = errors.New("the placement known here is not the newest one")

// LostWith says, by the word of the leaders of all groups, which of these have no majority any more when this node ends
// and its data with it, and which are dark: no leader reports them, or one that has no majority now. The meta group is
// among both. They are empty when this node is the whole cluster. An error says that nothing is known: one of ctx while
// the loop is busy, ErrOutdated, or one of the loop when it has ended.
func (n *Node) LostWith(ctx context.Context) (lost, dark []kv.PartitionID, err error) {
	s := n.o.Machine.State()
	if s == nil || len(s.Members) < 2 {
		return nil, nil, nil
	}
	if err := n.o.Loop.Do(ctx, func(*replica.Host) {}); err != nil {
		return nil, nil, err
	}
	verdict := health.Judge(s, n.reports(ctx, s))
	if verdict.Outdated != "" {
		return nil, nil, fmt.Errorf("%w: %s", ErrOutdated, verdict.Outdated)
	}
	for _, p := range verdict.Needs[n.o.ID] {
		if slices.Contains(verdict.Dark, p) {
			dark = append(dark, p)
		} else {
			lost = append(lost, p)
		}
	}
	return lost, dark, nil
}

// Stop makes the node refuse what other nodes ask and stop trying again, and waits for the
// answers under way that read the store: the last step before the loop ends.
func (n *Node) Stop() { n.server.Stop() }
