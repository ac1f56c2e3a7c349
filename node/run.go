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

// Needed lists the partitions that are served now and that nobody can read or write while this node is
// down: of the others that vote in them, too few can be asked. It is nil when this node is the whole cluster, or when
// the loop does not answer before ctx ends.
func (n *Node) Needed(ctx context.Context) []kv.PartitionID {
	s := n.o.Machine.State()
	if s == nil || len(s.Members) < 2 {
		return nil
	}
	now := n.leaders(s)
	var needed []kv.PartitionID // written by the loop, perhaps after ctx has ended
	err := n.o.Loop.Do(ctx, func(h *replica.Host) {
		for _, p := range h.Partitions() {
			if v, ok := h.View(p); ok && p != kv.Meta && now.of[p] != 0 && !n.spared(&v) {
				needed = append(needed, p)
			}
		}
	})
	if err != nil {
		return nil
	}
	return needed
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

// spared reports whether the other voters of a group that can be asked are a majority, in both halves
// of a configuration that is being changed.
func (n *Node) spared(v *replica.View) bool {
	majority := func(voters []uint64) bool {
		others := 0
		for _, r := range v.Replicas {
			if r.ID != v.Self && slices.Contains(voters, uint64(r.ID)) && n.client.CanAsk(r.Node) {
				others++
			}
		}
		return !slices.Contains(voters, uint64(v.Self)) || others > len(voters)/2
	}
	return majority(v.Conf.GetVoters()) && majority(v.Conf.GetVotersOutgoing())
}

// Stop makes the node refuse what other nodes ask and stop trying again, and waits for the
// answers under way that read the store: the last step before the loop ends.
func (n *Node) Stop() { n.server.Stop() }
