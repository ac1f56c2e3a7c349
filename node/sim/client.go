package sim

import (
	"fmt"
	"slices"
	"time"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/ring"
)

// client does one operation after the other, or a burst of them at once, as a user of a real
// cluster would: it tries again what is certainly not done, and takes silence for an unknown
// outcome.
type client struct {
	w        *World
	id       int
	open     []*operation // under way
	leader   map[kv.PartitionID]kv.NodeID
	seen     map[string]seen
	versions map[string]uint64         // version of its last write to a key
	index    map[kv.PartitionID]uint64 // of its last write
}

// seen is a value and the version under which a client saw it.
type seen struct{ value, version uint64 }

// operation is one entry of the history.
type operation struct {
	kind      opKind
	key       string
	value     uint64 // to write; unique in the run
	size      int    // bytes that the value is longer than need be
	at        *node  // where it is
	ttl       int64  // of puts and touches: milliseconds to live, 0: for ever
	expect    seen   // for cas
	call, ret int64  // virtual nanoseconds
	out       output
	done      bool
	refused   bool // once, as a transaction that might touch too much
}

// delta is what opIncr adds.
func (op *operation) delta() uint64 { return 1 + op.value%3 }

// blind reports whether a put does not ask if it created its key.
func (op *operation) blind() bool { return op.value%2 == 0 }

// old reports whether a put or a delete asks what the key held before.
func (op *operation) old() bool {
	return op.value%4 == 1 && op.key[0] != '{' && (op.kind == opPut || op.kind == opDelete)
}

type opKind byte

const (
	opGet opKind = iota
	opPut
	opCreate // put if absent
	opCas    // put if version
	opDelete
	opTouch // another deadline
	opIncr
	opAppend
)

type output struct {
	unknown bool
	applied bool   // of writes: it changed something
	created bool   // of writes: the key was not there before; blind ones do not tell
	value   uint64 // of reads, 0 is absent; of counters, what they are at
	old     uint64 // what the key held before, for who asks
	// deadline is that of the value that was read, or of what was written.
	deadline int64
	// earliest and latest are bounds of the group's time at which the operation took effect, in
	// milliseconds. 0 is not known.
	earliest, latest int64
}

const clientPatience = 1500 * time.Millisecond

func (w *World) addClient() {
	c := &client{w: w, id: len(w.clients), leader: map[kv.PartitionID]kv.NodeID{}, seen: map[string]seen{},
		versions: map[string]uint64{}, index: map[kv.PartitionID]uint64{}}
	w.clients = append(w.clients, c)
	w.after(w.between(0, 50*time.Millisecond), c.next)
}

func (c *client) next() {
	w := c.w
	if w.check.closing {
		return
	}
	if w.nap > w.now {
		w.after(w.nap-w.now+w.between(0, 5*time.Millisecond), c.next)
		return
	}
	kind := kinds[w.rng.IntN(len(kinds))]
	if w.o.Plain {
		kind = kinds[0]
	}
	op := &operation{key: fmt.Sprintf("%s%d.%d", kind, w.now/w.o.KeyLife, w.rng.IntN(w.o.Keys))}
	c.choose(op)
	c.begin(op)
	if w.chance(w.o.Burst) {
		c.burst()
	}
	if w.chance(w.o.Stale) {
		c.readStale(op.key)
	}
}

// burst sends many operations at once to one node, as a batch or many users do: some to few keys
// of one partition, that are hot, and the rest to many.
func (c *client) burst() {
	w := c.w
	var ops []*operation
	for i := range 2 + w.rng.IntN(w.o.BurstSize) {
		op := &operation{key: fmt.Sprintf("burst%d.%d", w.now/w.o.KeyLife, w.rng.IntN(64)), kind: opPut}
		if i%8 == 0 {
			op.key = fmt.Sprintf("plain%d.0", w.now/w.o.KeyLife)
		}
		if w.chance(0.2) {
			op.kind = opGet
		}
		c.size(op)
		ops = append(ops, op)
	}
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	if l := w.node(c.leader[w.partition(ops[0].key)]); l != nil {
		n = l
	}
	for _, op := range ops {
		c.start(op)
		op.at = n
	}
	serve := func() {
		for _, op := range ops {
			if !op.done {
				n.serve(c, op)
			}
		}
	}
	life := n.life
	arrive := func() {
		if n.life == life { // else the connection broke
			n.do(0, serve)
		}
	}
	if !n.up || !w.net.once(0, n.id, arrive) {
		for _, op := range ops {
			c.again(op, 0)
		}
	}
}

// size draws how large a value is: mostly as small as can be, sometimes beyond every limit.
func (c *client) size(op *operation) {
	if w := c.w; w.chance(w.o.Large) {
		op.size = 1 << w.rng.IntN(w.o.LargeBits)
	}
}

// What a key is used for, by its first letter. Keys whose names begin with { are two keys of one
// partition, which are only used together, in transactions.
var kinds = []string{"plain", "plain", "plain", "mortal", "mortal", "counter", "text", "{pair}"}

// choose draws what an operation does.
func (c *client) choose(op *operation) {
	w := c.w
	x := w.rng.IntN(100)
	switch {
	case !w.chance(w.o.Writes):
		op.kind = opGet
	case op.key[0] == 'c':
		op.kind = opIncr
	case op.key[0] == 't' && x < 60:
		op.kind = opAppend
	case op.key[0] == 'm' && x < 25:
		op.kind = opTouch
	case x < 55:
		op.kind = opPut
	case x < 65:
		op.kind = opCreate
	case x < 85 && op.key[0] != 'm' && op.key[0] != 't' && c.seen[op.key].version != 0:
		op.kind, op.expect = opCas, c.seen[op.key]
	default:
		op.kind = opDelete
	}
	if op.key[0] != 'c' && op.key[0] != 't' {
		c.size(op)
	}
	mortal := op.key[0] == 'm' || op.key[0] != 'c' && op.key[0] != 't' && w.chance(0.2)
	if mortal && !w.o.Plain && op.kind != opGet && op.kind != opDelete && w.chance(0.8) {
		op.ttl = int64(w.between(time.Millisecond, time.Second) / time.Millisecond)
	}
}

func (c *client) begin(op *operation) {
	c.start(op)
	c.try(op)
}

func (c *client) start(op *operation) {
	w := c.w
	w.check.values++
	op.value, op.call = w.check.values, int64(w.now)
	c.open = append(c.open, op)
	w.after(clientPatience, func() { c.finish(op, output{unknown: true}) })
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
	op.at = n
	if !n.up {
		c.again(op, 0)
		return
	}
	life := n.life
	w.net.once(0, n.id, func() {
		if n.life == life { // else the connection broke
			n.do(0, func() { n.serve(c, op) })
		}
	})
}

// again tries an operation that was certainly not done.
func (c *client) again(op *operation, leader kv.NodeID) {
	c.leader[c.w.partition(op.key)], op.at = leader, nil
	c.w.after(c.w.between(time.Millisecond, 60*time.Millisecond), func() { c.try(op) })
}

func (c *client) finish(op *operation, out output) {
	w := c.w
	if op.done {
		return
	}
	op.done, op.out, op.ret = true, out, int64(w.now)
	if out.unknown {
		op.ret = forever
		w.stats.Unknown++
	} else if op.kind == opGet {
		w.stats.Reads++
	} else {
		w.stats.Acked++
	}
	w.note('o', uint64(c.id), uint64(op.kind), op.value, out.value)
	w.check.history = append(w.check.history, op)
	c.open = slices.DeleteFunc(c.open, func(o *operation) bool { return o == op })
	if len(c.open) == 0 {
		think := 20 * time.Millisecond
		if w.healed && w.o.Limits.MessageBytes+w.o.Limits.JobBytes+w.o.Limits.ApplyBytes > 0 {
			think = 400 * time.Millisecond // a learner that takes a hundred bytes at a time has to outrun them
		}
		w.after(w.between(0, think), c.next)
	}
}

// nodeCrashed ends the operations whose connection broke.
func (c *client) nodeCrashed(n *node) {
	for _, op := range slices.Clone(c.open) {
		if op.at == n {
			c.finish(op, output{unknown: true})
		}
	}
}

// nodeStopped ends the operations that a node which stopped in good order has taken, and has not
// answered in time. It did not take others that were on their way to it.
func (c *client) nodeStopped(n *node) {
	if n.taken > 0 {
		c.nodeCrashed(n)
		return
	}
	for _, op := range slices.Clone(c.open) {
		if op.at == n {
			c.again(op, 0)
		}
	}
}

func (w *World) partition(key string) kv.PartitionID {
	return ring.PartitionOfKey([]byte(key), w.o.Partitions)
}

func (c *client) wrote(op *operation, r entry.Reply, latest int64) {
	switch {
	case r.Err != nil && r.Err.Kind == kv.Unknown:
		c.finish(op, output{unknown: true})
	case r.Err != nil:
		c.again(op, r.Err.Leader)
	default:
		res := r.Result
		p := c.w.partition(op.key)
		c.index[p] = max(c.index[p], res.Receipt.Index)
		if r.Transaction != nil && !r.Transaction.Conflict {
			res = r.Transaction.Results[0]
		}
		if res.Outcome == kv.Done && res.Version != 0 {
			c.seen[op.key] = seen{op.value, res.Version}
			if op.key[0] != '{' {
				c.versions[op.key] = res.Version
			}
		}
		out := output{applied: res.Outcome == kv.Done, created: res.Created, value: uint64(res.Number),
			old: oldOf(&res), deadline: res.Deadline, latest: latest}
		if op.ttl != 0 && out.applied {
			out.earliest, out.latest = res.Deadline-op.ttl, res.Deadline-op.ttl
		}
		c.finish(op, out)
	}
}
