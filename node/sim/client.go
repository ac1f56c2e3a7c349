package sim

import (
	"fmt"
	"time"

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
	ttl       int64  // of puts and touches: milliseconds to live, 0: for ever
	expect    seen   // for cas
	call, ret int64  // virtual nanoseconds
	out       output
	done      bool
}

// delta is what opIncr adds.
func (op *operation) delta() uint64 { return 1 + op.value%3 }

// blind reports whether a put does not ask if it created its key.
func (op *operation) blind() bool { return op.value%2 == 0 }

type opKind byte

const (
	opGet opKind = iota
	opPut
	opCreate // put if absent
	opCas    // put if version
	opDelete
	opTouch // another deadline
	opIncr
)

type output struct {
	unknown bool
	applied bool   // of writes: it changed something
	created bool   // of writes: the key was not there before; blind ones do not tell
	value   uint64 // of reads, 0 is absent; of counters, what they are at
	// deadline is that of the value that was read, or of what was written.
	deadline int64
	// earliest and latest are bounds of the group's time at which the operation took effect, in
	// milliseconds. 0 is not known.
	earliest, latest int64
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
	kind := kinds[w.rng.IntN(len(kinds))]
	if w.o.Plain {
		kind = kinds[0]
	}
	op := &operation{key: fmt.Sprintf("%s%d.%d", kind, w.now/w.o.KeyLife, w.rng.IntN(w.o.Keys))}
	c.choose(op)
	c.begin(op)
}

// What a key is used for, by its first letter. Keys whose names begin with { are two keys of one
// partition, which are only used together, in transactions.
var kinds = []string{"plain", "plain", "plain", "mortal", "mortal", "counter", "{pair}"}

// choose draws what an operation does.
func (c *client) choose(op *operation) {
	w := c.w
	x := w.rng.IntN(100)
	switch {
	case !w.chance(w.o.Writes):
		op.kind = opGet
	case op.key[0] == 'c':
		op.kind = opIncr
	case op.key[0] == 'm' && x < 25:
		op.kind = opTouch
	case x < 55:
		op.kind = opPut
	case x < 65:
		op.kind = opCreate
	case x < 85 && op.key[0] != 'm' && c.seen[op.key].version != 0:
		op.kind, op.expect = opCas, c.seen[op.key]
	default:
		op.kind = opDelete
	}
	mortal := op.key[0] == 'm' || op.key[0] != 'c' && w.chance(0.2)
	if mortal && !w.o.Plain && op.kind != opGet && op.kind != opDelete && w.chance(0.8) {
		op.ttl = int64(w.between(time.Millisecond, time.Second) / time.Millisecond)
	}
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
		op.ret = forever
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

func (c *client) wrote(op *operation, r replica.Reply, latest int64) {
	switch {
	case r.Err != nil && r.Err.Kind == kv.Unknown:
		c.finish(op, output{unknown: true})
	case r.Err != nil:
		c.again(op, r.Err.Leader)
	default:
		res := r.Result
		if r.Transaction != nil && !r.Transaction.Conflict {
			res = r.Transaction.Results[0]
		}
		if res.Outcome == kv.Done && res.Version != 0 {
			c.seen[op.key] = seen{op.value, res.Version}
		}
		out := output{applied: res.Outcome == kv.Done, created: res.Created, value: uint64(res.Number), deadline: res.Deadline, latest: latest}
		if op.ttl != 0 && out.applied {
			out.earliest, out.latest = res.Deadline-op.ttl, res.Deadline-op.ttl
		}
		c.finish(op, out)
	}
}
