package node

import (
	"context"
	"slices"

	"pxkv/node/kv"
)

// run goes on until everything is answered. Each round asks every node that is needed once; what
// was certainly not done is tried again.
func (b *batch) run(ctx context.Context) {
	pauses := b.n.client.Pauses(ctx)
	for again := ctx.Err() == nil; again; {
		retry := b.round(ctx)
		b.shares = slices.DeleteFunc(b.shares, (*share).done)
		if len(b.shares) == 0 {
			return
		}
		again = !retry && ctx.Err() == nil || pauses.Wait(ctx)
	}
	for _, p := range b.shares { // what is left was certainly not done
		b.fail(p, p.GaveUp(errTooLate(p.Partition)))
	}
}

// round tries the next step of every share. It reports whether one was certainly not done.
func (b *batch) round(ctx context.Context) (retry bool) {
	byNode, nodes, retry := b.next()
	var asked []*asking
	for _, to := range nodes {
		if to != b.n.o.ID {
			asked = append(asked, b.n.askSteps(ctx, to, byNode[to])...)
		}
	}
	if here := byNode[b.n.o.ID]; here != nil {
		b.n.metrics.Local.Add(float64(len(here)))
		b.n.carryOut(ctx, here)
	}
	// Who waits for a place has no other, so the rest is waited for before.
	for _, long := range []bool{false, true} {
		for _, a := range asked {
			if a.long == long {
				a.wait(ctx)
			}
		}
	}
	for _, to := range nodes {
		for _, s := range byNode[to] {
			retry = b.take(s) || retry
		}
	}
	return retry
}

// next is what this round asks of which nodes, and in what order. nobody reports that for a share no node is known.
func (b *batch) next() (byNode map[kv.NodeID][]*step, nodes []kv.NodeID, nobody bool) {
	byNode = map[kv.NodeID][]*step{}
	planned := 0 // bytes of values that this round's units may return
	for _, p := range b.shares {
		if b.full() {
			if b.refuseAsking(p); len(p.pieces.places)+len(p.rest) == 0 {
				continue
			}
		}
		to := b.n.client.Next(&p.Target)
		if to == 0 {
			nobody = true
			continue
		}
		s := b.step(p)
		if s == nil {
			b.fail(p, kv.ErrOverloaded())
			continue
		}
		if planned > 0 && s.values > 0 && b.bytes+planned+s.values > b.n.o.Limits.BatchBytes {
			b.account.Give(s.held + s.room)
			continue // with what this round brings it may be enough
		}
		planned += s.values
		if byNode[to] == nil {
			nodes = append(nodes, to)
		}
		byNode[to] = append(byNode[to], s)
	}
	return byNode, nodes, nobody
}
