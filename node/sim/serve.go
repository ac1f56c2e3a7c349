package sim

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/node/local"
	"pxkv/node/replica"
)

// serve is the node's side of an operation.
func (n *node) serve(c *client, op *operation) {
	p := n.w.partition(op.key)
	if n.waiting {
		c.again(op, 0)
		return
	}
	n.taken++
	if op.key[0] == '{' {
		n.readPair(op.key, time.Duration(op.value%97)*100*time.Microsecond, pairTries)
		n.serveWrite(c, op, p, pairOf(op), false)
	} else if op.kind == opGet {
		n.serveGet(c, op, p)
	} else {
		n.serveWrite(c, op, p, &kv.Transaction{Commands: []kv.Command{*commandOf(op)}}, true)
	}
}

func commandOf(op *operation) *kv.Command {
	cmd := &kv.Command{Op: kv.OpPut, Key: []byte(op.key), Value: kv.Value{Kind: kv.String, Data: valueOf(op)}}
	if op.ttl != 0 {
		cmd.Expiry = kv.Expiry{Kind: kv.ExpiryIn, MS: op.ttl}
	}
	switch op.kind {
	case opPut:
		cmd.Blind, cmd.ReturnOld = op.blind(), op.old()
	case opCreate:
		cmd.Cond.Kind = kv.CondAbsent
	case opCas:
		cmd.Cond = kv.Condition{Kind: kv.CondVersion, Version: op.expect.version}
	case opDelete:
		cmd.Op, cmd.Value, cmd.ReturnOld = kv.OpDelete, kv.Value{}, op.old()
	case opAppend:
		cmd.Op = kv.OpAppend
	case opTouch:
		cmd.Op, cmd.Value = kv.OpExpire, kv.Value{}
	case opIncr:
		cmd.Op, cmd.Value, cmd.Delta = kv.OpIncr, kv.Value{}, int64(op.delta())
	case opGet:
		cmd.Op, cmd.Value = kv.OpRead, kv.Value{}
	}
	return cmd
}

// valueOf is what an operation writes: its number, and as much behind it as it is to be longer. A text
// is longer by zeros before some of its numbers.
func valueOf(op *operation) []byte {
	b := make([]byte, 0, 20+op.size)
	if op.key[0] == 't' && op.value%3 == 0 {
		b = append(b, bytes.Repeat([]byte{'0'}, 64<<(op.value%4))...)
	}
	b = strconv.AppendUint(b, op.value, 10)
	if op.key[0] == 't' {
		return append(b, ',')
	}
	return append(b, bytes.Repeat([]byte{' '}, op.size)...)
}

// numberOf is the inverse.
func numberOf(value []byte) uint64 {
	if bytes.HasSuffix(value, []byte{','}) {
		text := uint64(0)
		for part := range bytes.SplitSeq(value[:len(value)-1], []byte{','}) {
			n, _ := strconv.ParseUint(string(part), 10, 64)
			text = appended(text, n)
		}
		return text
	}
	n, _ := strconv.ParseUint(string(bytes.TrimRight(value, " ")), 10, 64)
	return n
}

// oldOf is what a key held before an operation that asked for it.
func oldOf(r *kv.Result) uint64 {
	if r.Item == nil {
		return 0
	}
	return numberOf(r.Item.Value.Data)
}

// pairOf makes an operation on two keys that must always hold the same: a transaction, in which
// the version of the first is watched in place of a condition.
func pairOf(op *operation) *kv.Transaction {
	first, second := commandOf(op), commandOf(op)
	first.Key, second.Key = []byte(op.key+"a"), []byte(op.key+"b")
	tx := &kv.Transaction{AnswerBytes: 16 << 20}
	if op.kind == opCas || op.kind == opCreate {
		first.Cond, second.Cond = kv.Condition{}, kv.Condition{}
		tx.Watches = []kv.Watch{{Key: first.Key, Version: op.expect.version}}
	}
	tx.Commands = []kv.Command{*first, *second}
	return tx
}

// serveWrite proposes a transaction, or the one command in it alone.
func (n *node) serveWrite(c *client, op *operation, p kv.PartitionID, tx *kv.Transaction, alone bool) {
	if n.full() && op.kind != opDelete && op.kind != opGet {
		n.w.stats.RefusedFull++
		n.answer(func() { c.again(op, 0) })
		return
	}
	n.write(n.proposal(p, tx, alone, func(r entry.Reply) {
		if r.Err != nil {
			n.answer(func() { c.wrote(op, r, 0) })
			return
		}
		if r.Transaction != nil && r.Transaction.Touches {
			n.answer(func() { // not done, and perhaps the values are shorter soon
				op.refused = true
				c.again(op, 0)
			})
			return
		}
		n.w.check.acked(p, r.Result.Receipt.Index)
		if r.Transaction == nil && r.Result.Outcome == kv.Done && op.kind != opDelete && op.kind != opTouch {
			n.w.check.written[place{p, r.Result.Version}] = r.Result.Receipt.Index
		}
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
	}))
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
			n.taken--
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
	boot := n.boot()
	n.do(n.w.between(0, 100*time.Microsecond), func() {
		if v, leased := local.Leased(h, boot); leased {
			n.w.stats.LeaseReads++
			n.do(n.w.between(0, 100*time.Microsecond), func() { n.readLocal(c, op, v, false) })
			return
		}
		n.read(replica.ReadOp{Partition: p, Reply: func(err *kv.Error) {
			if err != nil {
				n.answer(func() { c.again(op, err.Leader) })
				return
			}
			n.do(n.w.between(0, 100*time.Microsecond), func() { n.readLocal(c, op, local.Fresh(h), false) })
		}})
	})
}

// readLocal goes through the steps of node's read, with time passing between any two. advanced says that the
// group's time was brought forward for this read.
func (n *node) readLocal(c *client, op *operation, v local.View, advanced bool) {
	k := &local.Key{View: v, Name: []byte(op.key)}
	if k.Cached(n.cache) {
		n.do(n.w.sleeps(100*time.Microsecond), func() { n.readResult(c, op, k, advanced) })
		return
	}
	n.do(n.w.between(0, 200*time.Microsecond), func() {
		err := n.io(func() error { return k.Load(n.db.Store) })
		switch {
		case n.reap():
		case err != nil && n.faults.raised.Load():
			n.answer(func() { c.again(op, 0) })
		case err != nil:
			n.w.fail("%s: read: %v", n.name, err)
		default:
			n.do(n.w.sleeps(3*time.Millisecond), func() { n.readResult(c, op, k, advanced) })
		}
	})
}

// sleeps is how long a goroutine sleeps between what it has read and what it does with it: now and then so long
// that elections end meanwhile; not where nothing is wrong, and two of those come to more than a client waits.
func (w *World) sleeps(most time.Duration) time.Duration {
	if w.chance(0.08) && !w.o.Rolling {
		return w.between(0, 800*time.Millisecond)
	}
	return w.between(0, most)
}

func (n *node) readResult(c *client, op *operation, k *local.Key, advanced bool) {
	at := k.View.Time()
	res, due, ok := k.Result(n.cache, n.now, false)
	switch {
	case !ok:
		n.answer(func() { c.again(op, 0) })
	case due && !advanced:
		n.advance(c, op, k.View.Partition())
	default:
		if !res.Found && k.Found() {
			n.w.stats.ReadsOfExpired++
		}
		n.got(c, op, res.Item, res.Found, at)
	}
}

// advance brings the group's time forward and reads again.
func (n *node) advance(c *client, op *operation, p kv.PartitionID) {
	n.w.stats.Advances++
	n.write(replica.Op{Partition: p, Reply: func(r entry.Reply) {
		if r.Err != nil {
			n.answer(func() { c.again(op, r.Err.Leader) })
			return
		}
		n.do(n.w.between(0, 100*time.Microsecond), func() {
			h := n.host.Handle(p)
			if h == nil {
				n.answer(func() { c.again(op, 0) })
				return
			}
			n.readLocal(c, op, local.Fresh(h), true)
		})
	}})
}

// got answers a read. at is the group's time that was taken before it.
func (n *node) got(c *client, op *operation, it kv.Item, found bool, at int64) {
	out := output{earliest: at}
	if h := n.host.Handle(n.w.partition(op.key)); h != nil {
		out.latest = h.Time()
	}
	if found {
		out.value = numberOf(it.Value.Data)
		out.deadline = it.Deadline
	}
	n.answer(func() {
		if found {
			c.seen[op.key] = seen{out.value, it.Version}
		}
		c.finish(op, out)
	})
}
