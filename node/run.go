package node

import (
	"context"
	"sync"
	"time"

	"pxkv/node/kv"
	"pxkv/node/replica"
)

// leadersInterval is how often a node that does not hold every partition asks the others
// what they lead.
const leadersInterval = time.Second

// Run does what goes on beside requests, until ctx ends.
func (n *Node) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { n.watchSpace(ctx) })
	wg.Go(func() { n.watchLeaders(ctx) })
	wg.Wait()
	return nil
}

// watchLeaders learns the leaders of the partitions that have no replica here.
func (n *Node) watchLeaders(ctx context.Context) {
	ticker := time.NewTicker(leadersInterval)
	defer ticker.Stop()
	for {
		if s := n.o.Machine.State(); s != nil {
			elsewhere := false
			for p := range s.Partitions {
				elsewhere = elsewhere || n.o.Loop.Handle(kv.PartitionID(p)) == nil
			}
			if elsewhere {
				for _, m := range s.Members {
					n.askLeading(m.ID)
				}
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (n *Node) askLeading(to kv.NodeID) {
	if to == n.o.ID || !n.o.Sight.Alive(to) {
		return
	}
	n.o.Peers.Go(to, reqLeading, time.Now().Add(leadersInterval), nil, func(b []byte, err error) {
		if err != nil {
			return
		}
		d, e := decodeAnswer(b)
		if e != nil {
			return
		}
		for len(d.Rest()) > 0 && d.Err() == nil {
			p := kv.PartitionID(d.Uvarint())
			if s := n.o.Machine.State(); int64(p) < int64(s.Partitions) && n.o.Loop.Handle(p) == nil {
				n.routes.learn(p, to)
			}
		}
	})
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
		left := 0
		if n.o.Loop.Do(ctx, func(h *replica.Host) { h.Drain(); left = h.Leading() + h.Awaited() }) != nil || left == 0 {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// Stop makes the node refuse what other nodes ask and stop trying again, and waits for the
// answers under way that read the store: the last step before the loop ends.
func (n *Node) Stop() {
	n.stop.Store(true)
	n.end()
	n.answering.close()
}
