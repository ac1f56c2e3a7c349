package node

import (
	"context"
	"sync"
	"time"

	"pxkv/node/kv"
	"pxkv/node/local"
	"pxkv/node/replica"
	"pxkv/node/rpc"
)

// hedgeAfter is how long a stale read waits for a replica before it asks another one as well: one of a
// process that stands still, or that has not come as far as it should.
const hedgeAfter = 30 * time.Millisecond

// readStale answers from the replica here, or else from whichever other one answers first. They are
// asked one after the other, the next when the one before has failed or takes long.
func (n *Node) readStale(ctx context.Context, r readRequest) (kv.ReadResult, error) {
	p, opt := r.partition, r.opt
	var ways []staleWay
	if h := n.o.Loop.Handle(p); h != nil && h.Applied() > 0 {
		if h.Applied() >= opt.MinIndex {
			res, e := n.readAsIs(h, r.key, opt.Part)
			if e == nil {
				e = hold(ctx, &res)
			}
			if e == nil {
				return res, nil
			} else if e.Kind != kv.NotLeader {
				return res, e
			}
		} else {
			ways = append(ways, func(ctx context.Context) (kv.ReadResult, *kv.Error) {
				res, e := n.awaitIndex(ctx, h, r)
				if e == nil {
					e = hold(ctx, &res)
				}
				return res, e
			})
		}
	}
	for _, to := range n.o.Machine.Nodes(p) {
		if to == n.o.ID || !n.o.Sight.Alive(to) {
			continue
		}
		ways = append(ways, func(ctx context.Context) (kv.ReadResult, *kv.Error) {
			res, e := readMethod.AskNode(ctx, n.client, to, r)
			if e == nil {
				res.Item.Value.Data = opt.Part.Of(res.Item.Value.Data)
			}
			return res, e
		})
	}
	return n.firstOf(ctx, p, ways)
}

// staleWay is one replica that may answer a stale read. It returns soon after its context has ended.
type staleWay func(context.Context) (kv.ReadResult, *kv.Error)

// firstOf returns the first good answer, or the last error when there is none.
func (n *Node) firstOf(ctx context.Context, p kv.PartitionID, ways []staleWay) (kv.ReadResult, error) {
	type answer struct {
		res kv.ReadResult
		e   *kv.Error
	}
	last := kv.Errorf(kv.Unavailable, "partition %s: no node is known to hold it", p)
	answers := make(chan answer, len(ways))
	ctx, cancel := context.WithCancel(ctx)
	var asked sync.WaitGroup
	defer asked.Wait()
	defer cancel()
	late := time.NewTimer(hedgeAfter)
	defer late.Stop()
	for waiting := 0; waiting > 0 || len(ways) > 0; {
		if ctx.Err() != nil {
			ways = nil
		} else if len(ways) > 0 {
			way := ways[0]
			ways = ways[1:]
			waiting++
			asked.Go(func() {
				res, e := way(ctx)
				answers <- answer{res, e}
			})
			late.Reset(hedgeAfter)
		}
		select {
		case a := <-answers:
			if a.e == nil {
				return a.res, nil
			}
			if a.e.Kind == kv.Overloaded {
				return kv.ReadResult{}, a.e
			}
			waiting--
			last = kv.Errorf(kv.Unavailable, "partition %s: %s", p, rpc.Without(p, a.e))
		case <-late.C:
		}
	}
	return kv.ReadResult{}, last
}

// answerStale reads for another node what is here, on the spot when that has come far enough.
func (n *Node) answerStale(h *replica.Handle, r readRequest, reply rpc.Reply[kv.ReadResult]) {
	if h.Applied() >= r.opt.MinIndex {
		reply.Send(n.readAsIs(h, r.key, r.opt.Part))
		return
	}
	n.server.Go(reply.Deadline, func(ctx context.Context) { reply.Send(n.awaitIndex(ctx, h, r)) }, reply.Fail)
}

// awaitIndex reads what is here as soon as the replica has applied an index.
func (n *Node) awaitIndex(ctx context.Context, h *replica.Handle, r readRequest) (kv.ReadResult, *kv.Error) {
	pause := time.Millisecond
	for h.Applied() < r.opt.MinIndex {
		if h.Gone() || h.Applied() == 0 {
			return kv.ReadResult{}, errNotHere(h.Partition)
		}
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return kv.ReadResult{}, kv.Errorf(kv.Unavailable, "partition %s: index %d is not applied here yet, only %d",
				h.Partition, r.opt.MinIndex, h.Applied())
		}
		pause = min(2*pause, 20*time.Millisecond)
	}
	return n.readAsIs(h, r.key, r.opt.Part)
}

// asIs opens whatever state of a partition is here.
func (n *Node) asIs(p kv.PartitionID) (v local.View, ok bool) {
	h := n.o.Loop.Handle(p)
	if h == nil {
		return v, false
	}
	v, _, _, ok = local.AsIs(h, n.now())
	return v, ok
}

// readAsIs reads past the cache, which only leaders keep, and says how old the state may be.
func (n *Node) readAsIs(h *replica.Handle, key []byte, part kv.Part) (kv.ReadResult, *kv.Error) {
	v, age, known, ok := local.AsIs(h, n.now())
	if !ok {
		return kv.ReadResult{}, errNotHere(h.Partition) // waits for its first snapshot
	}
	k := local.Key{View: v, Name: key, Part: part}
	n.loads.begin()
	err := k.Load(n.o.DB.Store)
	n.loads.end()
	if err != nil {
		return kv.ReadResult{}, errReading(h.Partition, err)
	}
	res, _, e := n.result(&k, true)
	if res.StalenessMS = kv.StalenessUnknown; known {
		res.StalenessMS = int64((age + time.Millisecond - 1) / time.Millisecond)
	}
	return res, e
}
