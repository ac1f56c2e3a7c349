package node

import (
	"context"
	"time"

	"pxkv/node/kv"
	"pxkv/node/replica"
)

// Read reads one key, wherever its partition is led or, for a stale read, from the nearest
// replica.
func (n *Node) Read(ctx context.Context, key []byte, opt kv.ReadOptions) (kv.ReadResult, error) {
	if err := kv.ValidateKey(key); err != nil {
		return kv.ReadResult{}, err
	}
	p, err := n.locate(key)
	if err != nil {
		return kv.ReadResult{}, err
	}
	ctx, cancel := n.bound(ctx)
	defer cancel()
	if opt.Consistency == kv.Stale {
		return n.readStale(ctx, p, key, opt)
	}
	var res kv.ReadResult
	err = n.try(ctx, p, func(ctx context.Context, to kv.NodeID) *kv.Error {
		var e *kv.Error
		if to == n.o.ID {
			n.metrics.local.Inc()
			res, e = n.readHere(ctx, p, key)
		} else {
			n.metrics.forwarded.Inc()
			res, e = n.forwardRead(ctx, to, key, opt)
		}
		return e
	})
	return res, err
}

// readHere reads as the leader: from the lease, or after a majority confirmed it.
func (n *Node) readHere(ctx context.Context, p kv.PartitionID, key []byte) (kv.ReadResult, *kv.Error) {
	h := n.o.Loop.Handle(p)
	if h == nil {
		return kv.ReadResult{}, errNotHere(p)
	}
	if !h.HasLease(bootTime()) {
		if e := n.confirm(ctx, p); e != nil {
			return kv.ReadResult{}, e
		}
	}
	res, due, e := n.readLocal(h, key)
	if due {
		return n.readDue(ctx, h, key)
	}
	return res, e
}

// readDue reads a key whose deadline the leader's clock has reached, but not the group's time:
// it is brought forward through the log first, and decides.
func (n *Node) readDue(ctx context.Context, h *replica.Handle, key []byte) (kv.ReadResult, *kv.Error) {
	if e := n.advance(ctx, h.Partition); e != nil {
		return kv.ReadResult{}, e
	}
	// The state here now has an entry that was proposed after the read began, so it needs no lease.
	res, _, e := n.readLocal(h, key)
	return res, e
}

// advance brings a group's time forward to its leader's clock. All that ask at once share an entry.
func (n *Node) advance(ctx context.Context, p kv.PartitionID) *kv.Error {
	n.metrics.advances.Inc()
	done := make(chan *kv.Error, 1)
	n.o.Loop.Write(replica.Op{Partition: p, Reply: func(r replica.Reply) { done <- r.Err }})
	select {
	case e := <-done:
		if e != nil && e.Kind == kv.Unknown { // whether the time moved is all the same to a read
			return kv.Errorf(kv.Unavailable, "partition %s changed its leader during a read", p)
		}
		return e
	case <-ctx.Done():
		return errTooLate(p)
	}
}

func errNotHere(p kv.PartitionID) *kv.Error {
	return kv.Errorf(kv.NotLeader, "no replica of partition %s on this node", p)
}

// confirm waits until the local state of a partition reflects every write that was
// acknowledged before the call.
func (n *Node) confirm(ctx context.Context, p kv.PartitionID) *kv.Error {
	done := make(chan *kv.Error, 1)
	n.o.Loop.Read(replica.ReadOp{Partition: p, Reply: func(e *kv.Error) { done <- e }})
	select {
	case e := <-done:
		return e
	case <-ctx.Done():
		return errTooLate(p)
	}
}

// readLocal reads the local state, which the caller has shown to be fresh: through the
// cache, which must not be given a value that changed meanwhile, and with a last look whether
// the replica was being deleted. The result has the key unless it expired; when its deadline is
// due, readDue is to decide that.
func (n *Node) readLocal(h *replica.Handle, key []byte) (res kv.ReadResult, due bool, e *kv.Error) {
	at := h.Time()
	res.Receipt = n.receipt(h.Partition, h.Applied())
	it, ok, tok := n.o.Cache.Get(key)
	if ok {
		if h.Gone() {
			return res, false, errNotHere(h.Partition)
		}
		n.metrics.cacheHits.Inc()
		return res, judge(h, at, &it, &res) == replica.Due, nil
	}
	n.metrics.cacheMisses.Inc()
	rec, found, err := n.o.DB.Get(h.Partition, key)
	switch {
	case err != nil:
		return res, false, kv.Errorf(kv.Internal, "partition %s: read: %v", h.Partition, err)
	case h.Gone():
		return res, false, errNotHere(h.Partition)
	case found:
		it = rec.Item()
		n.o.Cache.Fill(key, it, tok)
		return res, judge(h, at, &it, &res) == replica.Due, nil
	}
	return res, false, nil
}

// judge puts an item into a result, unless it had expired at the group's time that was taken
// before the read.
func judge(h *replica.Handle, at int64, it *kv.Item, res *kv.ReadResult) replica.Life {
	life := replica.Alive
	if it.Deadline != 0 {
		now := Clock()
		if life = h.Life(it.Deadline, at, now); life == replica.Expired {
			return life
		}
		res.NowMS = h.Clock(now.Boot)
	}
	res.Found, res.Item = true, *it
	return life
}

func (n *Node) forwardRead(ctx context.Context, to kv.NodeID, key []byte, opt kv.ReadOptions) (kv.ReadResult, *kv.Error) {
	b, err := n.ask(ctx, to, reqRead, encodeRead(key, opt))
	if err != nil {
		return kv.ReadResult{}, kv.Errorf(kv.Unavailable, "node %s did not answer: %v", to, err)
	}
	d, e := decodeAnswer(b)
	if e != nil {
		return kv.ReadResult{}, e
	}
	res := d.ReadReadResult()
	if d.End() != nil {
		return kv.ReadResult{}, kv.Errorf(kv.Internal, "malformed answer from node %s", to)
	}
	return res, nil
}

// answerRead serves another node's forwarded read: on the spot when there is a lease, so
// that most reads cost no goroutine here.
func (n *Node) answerRead(deadline time.Time, request []byte, reply func([]byte, error)) {
	key, opt, err := decodeRead(request)
	if err != nil {
		n.refuse(reply, err)
		return
	}
	p, err := n.locate(key)
	if err != nil {
		reply(encodeError(asError(err)), nil)
		return
	}
	h := n.o.Loop.Handle(p)
	switch {
	case h == nil:
		reply(encodeError(errNotHere(p)), nil)
	case opt.Consistency == kv.Stale:
		if h.Applied() >= opt.MinIndex {
			replyRead(reply)(n.readAsIs(h, key))
			return
		}
		n.answer(deadline, reply, func(ctx context.Context) { replyRead(reply)(n.awaitIndex(ctx, h, key, opt.MinIndex)) })
	case h.HasLease(bootTime()):
		res, due, e := n.readLocal(h, key)
		if due {
			n.answer(deadline, reply, func(ctx context.Context) { replyRead(reply)(n.readDue(ctx, h, key)) })
			return
		}
		replyRead(reply)(res, e)
	case !n.answering.enter():
		reply(encodeError(n.errStopping()), nil)
	default:
		// The reply comes on the loop's goroutine, which must not wait for the disk.
		n.o.Loop.Read(replica.ReadOp{Partition: p, Reply: func(e *kv.Error) {
			if e != nil {
				reply(encodeError(e), nil)
				n.answering.leave()
				return
			}
			go func() {
				defer n.answering.leave()
				res, due, e := n.readLocal(h, key)
				if due {
					ctx, cancel := context.WithDeadline(n.life, deadline)
					defer cancel()
					res, e = n.readDue(ctx, h, key)
				}
				replyRead(reply)(res, e)
			}()
		}})
	}
}

func replyRead(reply func([]byte, error)) func(kv.ReadResult, *kv.Error) {
	return func(res kv.ReadResult, e *kv.Error) {
		if e != nil {
			reply(encodeError(e), nil)
			return
		}
		b := make([]byte, 0, 96+len(res.Item.Value.Data)+len(res.Item.Value.ContentType))
		reply(res.AppendTo(append(b, answerOK)), nil)
	}
}

// readStale answers from the replica here, or else from any other.
func (n *Node) readStale(ctx context.Context, p kv.PartitionID, key []byte, opt kv.ReadOptions) (kv.ReadResult, error) {
	if h := n.o.Loop.Handle(p); h != nil && h.Applied() > 0 {
		res, e := n.awaitIndex(ctx, h, key, opt.MinIndex)
		if e == nil {
			return res, nil
		} else if e.Kind != kv.NotLeader {
			return res, e
		}
	}
	var last error = kv.Errorf(kv.Unavailable, "partition %s: no node is known to hold it", p)
	for _, to := range n.o.Machine.Nodes(p) {
		if to == n.o.ID || !n.o.Sight.Alive(to) {
			continue
		}
		n.metrics.forwarded.Inc()
		res, e := n.forwardRead(ctx, to, key, opt)
		if e == nil {
			return res, nil
		}
		last = kv.Errorf(kv.Unavailable, "partition %s: %s", p, e.Text)
	}
	return kv.ReadResult{}, last
}

// awaitIndex reads what is here as soon as the replica has applied an index.
func (n *Node) awaitIndex(ctx context.Context, h *replica.Handle, key []byte, index uint64) (kv.ReadResult, *kv.Error) {
	pause := time.Millisecond
	for h.Applied() < index {
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return kv.ReadResult{}, kv.Errorf(kv.Unavailable, "partition %s: index %d is not applied here yet, only %d", h.Partition, index, h.Applied())
		}
		if h.Gone() {
			return kv.ReadResult{}, errNotHere(h.Partition)
		}
		pause = min(2*pause, 20*time.Millisecond)
	}
	return n.readAsIs(h, key)
}

// readAsIs reads past the cache, which only leaders keep, and says how old the state may be.
func (n *Node) readAsIs(h *replica.Handle, key []byte) (kv.ReadResult, *kv.Error) {
	if h.Applied() == 0 {
		return kv.ReadResult{}, errNotHere(h.Partition) // waits for its first snapshot
	}
	at := h.Time() // by it alone: it may be behind, as the data is
	res := kv.ReadResult{Receipt: n.receipt(h.Partition, h.Applied()), StalenessMS: h.Staleness(Clock()).Milliseconds()}
	rec, found, err := n.o.DB.Get(h.Partition, key)
	switch {
	case err != nil:
		return res, kv.Errorf(kv.Internal, "partition %s: read: %v", h.Partition, err)
	case h.Gone():
		return res, errNotHere(h.Partition)
	case found:
		it := rec.Item()
		judge(h, at, &it, &res)
	}
	return res, nil
}
