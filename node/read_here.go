package node

import (
	"context"

	"pxkv/node/kv"
	"pxkv/node/local"
	"pxkv/node/replica"
)

// readHere reads as the leader: from the lease, or after a majority confirmed it.
func (n *Node) readHere(
	ctx context.Context, p kv.PartitionID, key []byte, part kv.Part, most int64,
) (kv.ReadResult, *kv.Error) {
	v, e := n.view(ctx, p)
	if e != nil {
		return kv.ReadResult{}, e
	}
	res, due, e := n.readLocal(v, key, part, most)
	if due {
		return n.readDue(ctx, v, key, part, most)
	}
	return res, e
}

// view opens the local state of a partition that is led here.
func (n *Node) view(ctx context.Context, p kv.PartitionID) (local.View, *kv.Error) {
	h := n.o.Loop.Handle(p)
	if h == nil {
		return local.View{}, errNotHere(p)
	}
	if v, leased := local.Leased(h, n.o.Boot()); leased {
		return v, nil
	}
	if e := n.confirm(ctx, p); e != nil {
		return local.View{}, e
	}
	return local.Fresh(h), nil
}

// readDue reads a key whose deadline the leader's clock has reached, but not the group's time:
// it is brought forward through the log first, and decides.
func (n *Node) readDue(
	ctx context.Context, v local.View, key []byte, part kv.Part, most int64,
) (kv.ReadResult, *kv.Error) {
	v, e := n.viewLater(ctx, v)
	if e != nil {
		return kv.ReadResult{}, e
	}
	res, _, e := n.readLocal(v, key, part, most)
	return res, e
}

// viewLater opens a view again once the time of its partition was brought forward: no deadline that was due
// before is any more.
func (n *Node) viewLater(ctx context.Context, v local.View) (local.View, *kv.Error) {
	if e := n.advance(ctx, v.Partition()); e != nil {
		return v, e
	}
	return v.Again(), nil // it has an entry that was proposed after the read began, so it needs no lease
}

// advance brings a group's time forward to its leader's clock. All that ask at once share an entry.
func (n *Node) advance(ctx context.Context, p kv.PartitionID) *kv.Error {
	n.metrics.advances.Inc()
	f := n.proposed.Get()
	n.o.Loop.Write(replica.Op{Partition: p, Reply: f.Put})
	r, ok := n.proposed.Wait(ctx, f)
	switch {
	case !ok:
		return errTooLate(p)
	case r.Err != nil && r.Err.Kind == kv.Unknown: // whether the time moved is all the same to a read
		return kv.Errorf(kv.Unavailable, "partition %s changed its leader during a read", p)
	}
	return r.Err
}

// confirm waits until the local state of a partition reflects every write that was
// acknowledged before the call.
func (n *Node) confirm(ctx context.Context, p kv.PartitionID) *kv.Error {
	f := n.rounds.Get()
	n.o.Loop.Read(replica.ReadOp{Partition: p, Reply: f.Put})
	e, ok := n.rounds.Wait(ctx, f)
	if !ok {
		return errTooLate(p)
	}
	return e
}

// readLocal reads a key of a view, through the cache. When its deadline is due, readDue is to decide what
// holds. A whole value that is longer than most bytes is refused as what finds no room, mostly before it is loaded; 0:
// none is.
func (n *Node) readLocal(
	v local.View, key []byte, part kv.Part, most int64,
) (res kv.ReadResult, due bool, e *kv.Error) {
	n.reads.Add(1)
	k := local.Key{View: v, Name: key, Part: part, Most: most}
	if k.Cached(n.o.Cache) {
		n.metrics.cacheHits.Inc()
	} else if e := n.load(&k); e != nil {
		return res, false, e
	}
	return n.result(&k, false)
}

// load reads a key from the store that the cache does not have.
func (n *Node) load(k *local.Key) *kv.Error {
	n.metrics.cacheMisses.Inc()
	n.loads.begin()
	err := k.Load(n.o.DB.Store)
	n.loads.end()
	if err != nil {
		return errReading(k.View.Partition(), err)
	}
	return nil
}

// readAtOnce is readLocal for the goroutine of a link, where nothing else that comes from the other node is looked at
// meanwhile, not even what keeps groups together. It reports that a read is slow where a deadline is due, or it is
// likely to wait for the disk for long.
func (n *Node) readAtOnce(
	v local.View, key []byte, part kv.Part, most int64,
) (res kv.ReadResult, slow bool, e *kv.Error) {
	k := local.Key{View: v, Name: key, Part: part, Most: most}
	if most == 0 {
		k.Most = local.NotSlow
	}
	if k.Cached(n.o.Cache) {
		n.metrics.cacheHits.Inc()
	} else if !n.loads.quiet() {
		return res, true, nil
	} else if e := n.load(&k); e != nil {
		return res, false, e
	}
	if k.Most == local.NotSlow && k.TooLong() {
		return res, true, nil
	}
	n.reads.Add(1)
	return n.result(&k, false)
}

func (n *Node) result(k *local.Key, stale bool) (res kv.ReadResult, due bool, e *kv.Error) {
	res, due, ok := k.Result(n.o.Cache, n.now, stale)
	res.Receipt.Node = n.o.Name
	switch {
	case !ok:
		e = errNotHere(k.View.Partition())
	case res.Found && !due && k.TooLong():
		return kv.ReadResult{}, false, kv.ErrOverloaded()
	}
	return res, due, e
}
