package sim

import (
	"fmt"
	"strconv"
	"time"

	"pxkv/node/cache"
	"pxkv/node/kv"
	"pxkv/node/replica"
)

// serve is the node's side of an operation.
func (n *node) serve(c *client, op *operation) {
	p := n.w.partition(op.key)
	if op.key[0] == '{' {
		n.serveWrite(c, op, p, pairOf(op).AppendTo(nil))
	} else if op.kind == opGet {
		n.serveGet(c, op, p)
	} else {
		cmd := commandOf(op)
		n.serveWrite(c, op, p, cmd.AppendTo(nil))
	}
}

func commandOf(op *operation) *kv.Command {
	cmd := &kv.Command{Op: kv.OpPut, Key: []byte(op.key), Value: kv.Value{Kind: kv.String, Data: strconv.AppendUint(nil, op.value, 10)}}
	if op.ttl != 0 {
		cmd.Expiry = kv.Expiry{Kind: kv.ExpiryIn, MS: op.ttl}
	}
	switch op.kind {
	case opPut:
		cmd.Blind = op.blind()
	case opCreate:
		cmd.Cond.Kind = kv.CondAbsent
	case opCas:
		cmd.Cond = kv.Condition{Kind: kv.CondVersion, Version: op.expect.version}
	case opDelete:
		cmd.Op, cmd.Value = kv.OpDelete, kv.Value{}
	case opTouch:
		cmd.Op, cmd.Value = kv.OpExpire, kv.Value{}
	case opIncr:
		cmd.Op, cmd.Value, cmd.Delta = kv.OpIncr, kv.Value{}, int64(op.delta())
	case opGet:
		cmd.Op, cmd.Value = kv.OpRead, kv.Value{}
	}
	return cmd
}

// pairOf makes an operation on two keys that must always hold the same: a transaction, in which
// the version of the first is watched in place of a condition.
func pairOf(op *operation) *kv.Transaction {
	first, second := commandOf(op), commandOf(op)
	first.Key, second.Key = []byte(op.key+"a"), []byte(op.key+"b")
	tx := &kv.Transaction{}
	if op.kind == opCas || op.kind == opCreate {
		first.Cond, second.Cond = kv.Condition{}, kv.Condition{}
		tx.Watches = []kv.Watch{{Key: first.Key, Version: op.expect.version}}
	}
	tx.Commands = []kv.Command{*first, *second}
	return tx
}

func (n *node) serveWrite(c *client, op *operation, p kv.PartitionID, unit []byte) {
	n.write(replica.Op{Partition: p, Command: unit, Reply: func(r replica.Reply) {
		if r.Err != nil {
			n.answer(func() { c.wrote(op, r, 0) })
			return
		}
		n.w.check.acked(p, r.Result.Receipt.Index)
		latest := int64(0)
		if h := n.host.Handle(p); h != nil {
			latest = h.Time()
		}
		if t := r.Transaction; t != nil && len(t.Results) == 2 && same(&t.Results[0]) != same(&t.Results[1]) {
			n.w.fail("%s: the keys of %s differ: %+v", n.name, op.key, t.Results)
		}
		if op.kind == opGet {
			res := r.Transaction.Results[0]
			it := kv.Item{Version: res.Version}
			if res.Item != nil {
				it = *res.Item
			}
			n.got(c, op, it, res.Item != nil, 0)
			return
		}
		n.answer(func() { c.wrote(op, r, latest) })
	}})
}

// same is all of a result in which two keys of a pair must not differ.
func same(r *kv.Result) string {
	text := fmt.Sprint(r.Outcome, r.Created)
	if r.Item != nil {
		text += string(r.Item.Value.Data)
	}
	return text
}

// answer carries an answer back to a client, if the connection lives.
func (n *node) answer(f func()) {
	life := n.life
	n.w.net.once(n.id, 0, func() {
		if n.life == life {
			f()
		}
	})
}

func (n *node) serveGet(c *client, op *operation, p kv.PartitionID) {
	h := n.host.Handle(p)
	if h == nil {
		n.answer(func() { c.again(op, 0) })
		return
	}
	if h.HasLease(n.boot()) {
		n.w.stats.LeaseReads++
		n.readLocal(c, op, h, false)
		return
	}
	n.read(replica.ReadOp{Partition: p, Reply: func(err *kv.Error) {
		if err != nil {
			n.answer(func() { c.again(op, err.Leader) })
			return
		}
		n.do(n.w.between(0, 100*time.Microsecond), func() { n.readLocal(c, op, h, false) })
	}})
}

// readLocal reads through the cache, as node's read path does, with time passing between
// its steps. advanced says that the group's time was brought forward for this read.
func (n *node) readLocal(c *client, op *operation, h *replica.Handle, advanced bool) {
	at := h.Time()
	it, ok, tok := n.cache.Get([]byte(op.key))
	if ok {
		n.judge(c, op, h, it, true, at, advanced)
		return
	}
	n.do(n.w.between(0, 200*time.Microsecond), func() { n.readStore(c, op, h, tok, at, advanced) })
}

func (n *node) readStore(c *client, op *operation, h *replica.Handle, tok cache.Token, at int64, advanced bool) {
	rec, found, err := n.db.Get(h.Partition, []byte(op.key))
	if err != nil {
		n.w.fail("%s: read: %v", n.name, err)
		return
	}
	if h.Gone() {
		n.answer(func() { c.again(op, 0) })
		return
	}
	it := rec.Item()
	n.do(n.w.between(0, 3*time.Millisecond), func() {
		if found {
			n.cache.Fill([]byte(op.key), it, tok)
		}
		n.judge(c, op, h, it, found, at, advanced)
	})
}

// judge decides whether an item has expired, as node's read path does.
func (n *node) judge(c *client, op *operation, h *replica.Handle, it kv.Item, found bool, at int64, advanced bool) {
	if found {
		switch h.Life(it.Deadline, at, n.now()) {
		case replica.Expired:
			found = false
			n.w.stats.ReadsOfExpired++
		case replica.Due:
			if !advanced {
				n.advance(c, op, h)
				return
			}
		}
	}
	n.got(c, op, it, found, at)
}

// advance brings the group's time forward and reads again.
func (n *node) advance(c *client, op *operation, h *replica.Handle) {
	n.w.stats.Advances++
	n.write(replica.Op{Partition: h.Partition, Reply: func(r replica.Reply) {
		if r.Err != nil {
			n.answer(func() { c.again(op, r.Err.Leader) })
			return
		}
		n.do(n.w.between(0, 100*time.Microsecond), func() { n.readLocal(c, op, h, true) })
	}})
}

// got answers a read. at is the group's time that was taken before it.
func (n *node) got(c *client, op *operation, it kv.Item, found bool, at int64) {
	out := output{earliest: at}
	if h := n.host.Handle(n.w.partition(op.key)); h != nil {
		out.latest = h.Time()
	}
	if found {
		out.value, _ = strconv.ParseUint(string(it.Value.Data), 10, 64)
		out.deadline = it.Deadline
	}
	n.answer(func() {
		if found {
			c.seen[op.key] = seen{out.value, it.Version}
		}
		c.finish(op, out)
	})
}
