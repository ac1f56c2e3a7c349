package sim

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"pxkv/node/cache"
	"pxkv/node/kv"
	"pxkv/node/replica"
	"pxkv/ring"
)

// client does one operation after the other, as a user of a real cluster would: it tries
// again what is certainly not done, and takes silence for an unknown outcome.
type client struct {
	w      *World
	id     int
	op     *operation
	at     *node // where the operation is
	leader map[kv.PartitionID]kv.NodeID
	seen   map[string]seen
}

// seen is a value and the version under which a client saw it.
type seen struct{ value, version uint64 }

// operation is one entry of the history.
type operation struct {
	kind      opKind
	key       string
	value     uint64 // to write; unique in the run
	expect    seen   // for cas
	call, ret int64  // virtual nanoseconds
	out       output
	done      bool
}

// blind reports whether a put does not ask if it created its key.
func (op *operation) blind() bool { return op.value%2 == 0 }

type opKind byte

const (
	opGet opKind = iota
	opPut
	opCreate // put if absent
	opCas    // put if version
	opDelete
)

type output struct {
	unknown bool
	applied bool   // of writes: it changed something
	created bool   // of writes: the key was not there before; blind ones do not tell
	value   uint64 // of reads, 0 is absent
}

const clientPatience = 1500 * time.Millisecond

func (w *World) addClient() {
	c := &client{w: w, id: len(w.clients), leader: map[kv.PartitionID]kv.NodeID{}, seen: map[string]seen{}}
	w.clients = append(w.clients, c)
	w.after(w.between(0, 50*time.Millisecond), c.next)
}

func (c *client) next() {
	w := c.w
	if w.check.closing {
		return
	}
	key := fmt.Sprintf("k%d.%d", w.now/w.o.KeyLife, w.rng.IntN(w.o.Keys))
	op := &operation{key: key}
	switch x := w.rng.IntN(100); {
	case !w.chance(w.o.Writes):
		op.kind = opGet
	case x < 55:
		op.kind = opPut
	case x < 65:
		op.kind = opCreate
	case x < 85 && c.seen[key].version != 0:
		op.kind, op.expect = opCas, c.seen[key]
	default:
		op.kind = opDelete
	}
	c.begin(op)
}

func (c *client) begin(op *operation) {
	w := c.w
	w.check.values++
	op.value, op.call = w.check.values, int64(w.now)
	c.op = op
	w.after(clientPatience, func() { c.finish(op, output{unknown: true}) })
	c.try(op)
}

// try sends the operation to a node, mostly to the one that led last.
func (c *client) try(op *operation) {
	w := c.w
	if op.done {
		return
	}
	p := w.partition(op.key)
	n := w.node(c.leader[p])
	if n == nil || w.chance(0.1) {
		n = w.nodes[w.rng.IntN(len(w.nodes))]
	}
	c.at = n
	if !n.up {
		c.again(op, 0)
		return
	}
	w.net.once(0, n.id, func() { n.do(0, func() { n.serve(c, op) }) })
}

// again tries an operation that was certainly not done.
func (c *client) again(op *operation, leader kv.NodeID) {
	c.leader[c.w.partition(op.key)] = leader
	c.w.after(c.w.between(time.Millisecond, 60*time.Millisecond), func() { c.try(op) })
}

func (c *client) finish(op *operation, out output) {
	w := c.w
	if op.done {
		return
	}
	op.done, op.out, op.ret = true, out, int64(w.now)
	if out.unknown {
		op.ret = math.MaxInt64
		w.stats.Unknown++
	} else if op.kind == opGet {
		w.stats.Reads++
	} else {
		w.stats.Acked++
	}
	w.note('o', uint64(c.id), uint64(op.kind), op.value, out.value)
	w.check.history = append(w.check.history, op)
	c.op = nil
	w.after(w.between(0, 20*time.Millisecond), c.next)
}

// nodeCrashed ends the operation whose connection broke.
func (c *client) nodeCrashed(n *node) {
	if c.op != nil && c.at == n {
		c.finish(c.op, output{unknown: true})
	}
}

func (w *World) partition(key string) kv.PartitionID {
	return ring.PartitionOfKey([]byte(key), w.o.Partitions)
}

// serve is the node's side of an operation.
func (n *node) serve(c *client, op *operation) {
	p := n.w.partition(op.key)
	if op.kind == opGet {
		n.serveGet(c, op, p)
		return
	}
	cmd := &kv.Command{Op: kv.OpPut, Key: []byte(op.key), Value: kv.Value{Kind: kv.String, Data: strconv.AppendUint(nil, op.value, 10)}}
	switch op.kind {
	case opPut:
		cmd.Blind = op.blind()
	case opCreate:
		cmd.Cond.Kind = kv.CondAbsent
	case opCas:
		cmd.Cond = kv.Condition{Kind: kv.CondVersion, Version: op.expect.version}
	case opDelete:
		cmd.Op, cmd.Value = kv.OpDelete, kv.Value{}
	}
	n.write(replica.Op{Partition: p, Command: cmd.AppendTo(nil), Reply: func(r replica.Reply) {
		if r.Err == nil {
			n.w.check.acked(p, r.Result.Receipt.Index)
		}
		n.answer(func() { c.wrote(op, r) })
	}})
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

func (c *client) wrote(op *operation, r replica.Reply) {
	switch {
	case r.Err != nil && r.Err.Kind == kv.Unknown:
		c.finish(op, output{unknown: true})
	case r.Err != nil:
		c.again(op, r.Err.Leader)
	default:
		if r.Result.Outcome == kv.Done && op.kind != opDelete {
			c.seen[op.key] = seen{op.value, r.Result.Version}
		}
		c.finish(op, output{applied: r.Result.Outcome == kv.Done, created: r.Result.Created})
	}
}

func (n *node) serveGet(c *client, op *operation, p kv.PartitionID) {
	h := n.host.Handle(p)
	if h == nil {
		n.answer(func() { c.again(op, 0) })
		return
	}
	if h.HasLease(n.boot()) {
		n.w.stats.LeaseReads++
		n.readLocal(c, op, h)
		return
	}
	n.read(replica.ReadOp{Partition: p, Reply: func(err *kv.Error) {
		if err != nil {
			n.answer(func() { c.again(op, err.Leader) })
			return
		}
		n.do(n.w.between(0, 100*time.Microsecond), func() { n.readLocal(c, op, h) })
	}})
}

// readLocal reads through the cache, as node's read path does, with time passing between
// its steps.
func (n *node) readLocal(c *client, op *operation, h *replica.Handle) {
	it, ok, tok := n.cache.Get([]byte(op.key))
	if ok {
		n.got(c, op, it, true)
		return
	}
	n.do(n.w.between(0, 200*time.Microsecond), func() { n.readStore(c, op, h, tok) })
}

func (n *node) readStore(c *client, op *operation, h *replica.Handle, tok cache.Token) {
	rec, found, err := n.db.Get(h.Partition, []byte(op.key))
	if err != nil {
		n.w.fail("%s: read: %v", n.name, err)
		return
	}
	if h.Gone() {
		n.answer(func() { c.again(op, 0) })
		return
	}
	it := kv.Item{Value: rec.Value, Version: rec.Version}
	n.do(n.w.between(0, 3*time.Millisecond), func() {
		if found {
			n.cache.Fill([]byte(op.key), it, tok)
		}
		n.got(c, op, it, found)
	})
}

func (n *node) got(c *client, op *operation, it kv.Item, found bool) {
	var value uint64
	if found {
		value, _ = strconv.ParseUint(string(it.Value.Data), 10, 64)
	}
	n.answer(func() {
		if found {
			c.seen[op.key] = seen{value, it.Version}
		}
		c.finish(op, output{value: value})
	})
}
