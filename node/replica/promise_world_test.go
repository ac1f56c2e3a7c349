package replica

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/node/machine"
	"pxkv/persist"
	"pxkv/persist/state"
)

// promises is a few hosts with some groups of three and five on a network, on disks and by clocks that are as bad as
// they may be. Beside node/sim it is small and has leases in mind alone: no meta group, no clients, no snapshots. So it
// plays a hundred leaderships in the time of one schedule there.
type promises struct {
	restAfter int // ticks until a group rests
	promiseFaults
	t      testing.TB
	rng    *rand.Rand
	now    time.Duration
	events promiseEvents
	seq    uint64
	nodes  []*promiseNode // by id, from 1
	groups []*promiseGroup
	cuts   map[[2]kv.NodeID]time.Duration // one direction, until
	broken error                          // the first violation
	stats  promiseStats
}

// promiseStats says whether a run was about anything.
type promiseStats struct {
	Leases, Leaders, Acked, Reads, Restarts, Transfers, Confs, Alone int
}

type promiseEvent struct {
	at  time.Duration
	seq uint64
	f   func()
}

type promiseEvents []promiseEvent

func (h promiseEvents) Len() int { return len(h) }
func (h promiseEvents) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h promiseEvents) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *promiseEvents) Push(x any)   { *h = append(*h, x.(promiseEvent)) }
func (h *promiseEvents) Pop() any {
	old := *h
	e := old[len(old)-1]
	*h = old[:len(old)-1]
	return e
}

// promiseNode is one process with its disk and its clock.
type promiseNode struct {
	w         *promises
	id        kv.NodeID
	fs        *vfs.MemFS
	db        *persist.DB
	h         *Host
	in        Input
	rate      float64       // of its clock
	zero      time.Duration // its clock when the world began
	up        bool
	life      int
	paused    time.Duration // until
	slow      time.Duration // its disk takes so long for the next job
	scheduled bool
	ticking   time.Duration // when it ticks next
}

func newPromises(t testing.TB, seed uint64) *promises {
	w := &promises{t: t, rng: rand.New(rand.NewPCG(seed, 0)), cuts: map[[2]kv.NodeID]time.Duration{},
		restAfter: int(seed % 5)}
	w.drawPromiseFaults()
	for id := range kv.NodeID(3 + w.rng.IntN(3)) {
		w.nodes = append(w.nodes, &promiseNode{
			w: w, id: id + 1, fs: vfs.NewCrashableMem(), rate: 1 + w.drift*(2*w.rng.Float64()-1),
			zero: w.between(time.Hour, 2*time.Hour),
		})
	}
	for p := range kv.PartitionID(2 + w.rng.IntN(4)) {
		w.groups = append(w.groups, w.drawGroup(p))
	}
	for _, n := range w.nodes {
		db := n.open()
		b := db.NewBatch()
		for _, g := range w.groups {
			if id := kv.ReplicaID(n.id); InConf(g.conf, id) {
				b.Create(g.p, id, &state.Applied{Index: 1, Term: 1, Conf: g.conf, Replicas: g.replicas})
			}
		}
		if err := b.Commit(); err != nil {
			t.Fatal(err)
		}
		n.begin(db, true)
	}
	return w
}

func (w *promises) close() {
	for _, n := range w.nodes {
		if n.up {
			_ = n.db.Close()
		}
	}
}

// drawGroup makes a group of up to five replicas. Some of them may be learners at first.
func (w *promises) drawGroup(p kv.PartitionID) *promiseGroup {
	g := &promiseGroup{p: p, conf: &pb.ConfState{}, leaders: map[uint64]kv.NodeID{}, hashes: map[uint64]uint64{}}
	size := 3
	if len(w.nodes) == 5 && w.rng.IntN(2) == 0 {
		size = 5
	}
	ids := w.rng.Perm(len(w.nodes))[:size]
	slices.Sort(ids)
	voters := []int{size, size, size, 3, 1}[w.rng.IntN(5)]
	for i, n := range ids {
		id := uint64(n + 1)
		g.replicas = append(g.replicas, kv.Replica{ID: kv.ReplicaID(id), Node: kv.NodeID(id)})
		if i < voters {
			g.conf.Voters = append(g.conf.Voters, id)
		} else {
			g.conf.Learners = append(g.conf.Learners, id)
		}
	}
	return g
}

func (w *promises) between(a, b time.Duration) time.Duration {
	return a + time.Duration(w.rng.Int64N(int64(b-a)+1))
}

func (w *promises) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

func (w *promises) after(d time.Duration, f func()) {
	w.seq++
	heap.Push(&w.events, promiseEvent{w.now + d, w.seq, f})
}

// run lets time pass until a moment, or a violation.
func (w *promises) run(until time.Duration) {
	for len(w.events) > 0 && w.events[0].at <= until && w.broken == nil {
		e := heap.Pop(&w.events).(promiseEvent)
		w.now = e.at
		e.f()
	}
}

func (w *promises) fail(format string, args ...any) {
	if w.broken == nil {
		w.broken = fmt.Errorf("at %v: %s", w.now, fmt.Sprintf(format, args...))
	}
}

func (w *promises) node(id kv.NodeID) *promiseNode { return w.nodes[id-1] }

func (w *promises) open(from, to kv.NodeID) bool { return w.cuts[[2]kv.NodeID{from, to}] <= w.now }

// cut lets nothing through in one direction for a while.
func (w *promises) cut(from, to kv.NodeID, d time.Duration) {
	k := [2]kv.NodeID{from, to}
	w.cuts[k] = max(w.cuts[k], w.now+d)
}

// send delivers each message on its own: late, twice, out of order or never.
func (w *promises) send(from kv.NodeID, fs []Frame) {
	for _, f := range fs {
		ms, err := DecodeFrame(nil, from, f.Data)
		if err != nil {
			w.fail("node %d: own frame: %v", from, err)
			return
		}
		to := w.node(f.To)
		for _, m := range ms {
			copies := 1
			switch {
			case w.chance(w.drop):
				continue
			case w.chance(w.duplicate):
				copies = 2
			}
			for range copies {
				d := w.between(100*time.Microsecond, 2*time.Millisecond)
				if w.chance(w.late) {
					d = w.between(0, w.lateBy)
				}
				if !w.open(from, f.To) {
					continue
				}
				w.after(d, func() {
					if to.up && w.open(from, f.To) {
						to.in.Messages = append(to.in.Messages, m)
						to.schedule()
					}
				})
			}
		}
	}
}

// boot is what its clock says.
func (n *promiseNode) boot() time.Duration { return n.zero + time.Duration(float64(n.w.now)*n.rate) }

func (n *promiseNode) open() *persist.DB {
	db, err := persist.Open(persist.Options{Dir: "data", FS: n.fs, Light: true})
	if err != nil {
		n.w.t.Fatal(err)
	}
	return db
}

// begin starts the process.
func (n *promiseNode) begin(db *persist.DB, fresh bool) {
	h, err := NewHost(Config{
		Node: n.id, Incarnation: n.w.rng.Uint64() | 1, DB: db, Policy: nowhere{}, Fresh: fresh,
		RestAfter: n.w.restAfter, // 0: never in so short a time
		Machine:   func(kv.PartitionID) StateMachine { return &machine.KV{} },
		Limits:    Limits{ApplyBytes: n.w.applyBytes, ReadyRounds: n.w.readyRounds, EntryBytes: n.w.entryBytes},
	})
	if err != nil {
		n.w.t.Fatal(err)
	}
	n.db, n.h, n.up, n.in, n.scheduled = db, h, true, Input{}, false
	n.life++
	n.ticking = n.w.now
	n.tick()
}

// do runs f in this life of the process, when it is not paused.
func (n *promiseNode) do(d time.Duration, f func()) {
	life := n.life
	var try func()
	try = func() {
		switch {
		case !n.up || n.life != life:
		case n.paused > n.w.now:
			n.w.after(n.paused-n.w.now, try)
		default:
			f()
		}
	}
	n.w.after(d, try)
}

// tick comes on schedule. Those for which the process stood still come all at once, each with a turn of its own: the
// driver of a real node hands out two of them at most.
func (n *promiseNode) tick() {
	period := time.Duration(float64(DefaultTick) / n.rate)
	for n.ticking <= n.w.now {
		n.ticking += period
		if n.in.Tick {
			n.turn()
			if !n.up {
				return
			}
		}
		n.in.Tick = true
	}
	n.schedule()
	n.use()
	n.do(n.ticking-n.w.now+n.w.between(0, 2*time.Millisecond), n.tick)
}

// use reads and writes a little, by whatever this node believes to lead.
func (n *promiseNode) use() {
	w := n.w
	for _, g := range w.groups {
		h := n.h.Handle(g.p)
		if h == nil {
			continue
		}
		if w.chance(w.reading) {
			h.HasLease(n.boot())
		}
		if !h.Leader().Self {
			continue
		}
		if w.chance(w.writing) {
			n.write(g)
		}
		if w.chance(w.reading) {
			known := g.ack
			n.in.Reads = append(n.in.Reads, ReadOp{Partition: g.p, Reply: func(err *kv.Error) {
				if err != nil {
					return
				}
				w.stats.Reads++
				if at := h.Applied(); at < known {
					w.fail("group %v: node %d answers a read at index %d, and %d was acknowledged before it began", g.p,
						n.id, at, known)
				}
			}})
		}
	}
}

func (n *promiseNode) write(g *promiseGroup) {
	n.in.Ops = append(n.in.Ops, Op{Partition: g.p, Command: setCommand("k", "v"), Reply: func(r entry.Reply) {
		if r.Err == nil {
			g.acked(n.w, r.Result.Receipt.Index)
		}
	}})
	n.schedule()
}

func (n *promiseNode) schedule() {
	if n.up && !n.scheduled {
		n.scheduled = true
		n.do(n.w.between(0, 200*time.Microsecond), n.turn)
	}
}

func (n *promiseNode) turn() {
	n.scheduled = false
	in := n.in
	n.in = Input{}
	out, err := n.h.Turn(Now{Boot: n.boot(), WallMS: 1 + n.w.now.Milliseconds()}, &in)
	if err != nil {
		n.w.fail("node %d: %v", n.id, err)
		return
	}
	n.w.send(n.id, out.Frames)
	for _, s := range out.Snapshots { // none is needed: it failed
		n.in.Reports = append(n.in.Reports, SnapshotReport{Shipment: s, Err: errNoSnapshots})
	}
	if out.More || len(n.in.Reports) > 0 {
		n.schedule()
	}
	if j := n.h.TakeJob(); j != nil {
		n.commit(j)
	}
	for _, g := range n.w.groups {
		g.check(n.w)
	}
}

// commit lets the disk take its time. A crash before takes the job, and one after it only the news of that.
func (n *promiseNode) commit(j *Job) {
	w := n.w
	d := w.between(50*time.Microsecond, time.Millisecond) + n.slow
	n.slow = 0
	n.do(d, func() {
		if err := j.Commit(); err != nil {
			w.fail("node %d: commit: %v", n.id, err)
			return
		}
		n.do(w.between(0, 300*time.Microsecond), func() {
			w.send(n.id, j.Frames())
			n.in.Finished = append(n.in.Finished, j)
			n.schedule()
		})
	})
}

// crash ends the process and starts it again after a while. It finds what it had synced, or all that it had
// written, or, when it ended in order, all that it had applied as well.
func (n *promiseNode) crash(back time.Duration) {
	w := n.w
	if !n.up {
		return
	}
	w.stats.Restarts++
	n.up = false
	n.life++
	disk := n.fs
	switch w.rng.IntN(3) {
	case 0:
		disk = n.fs.CrashClone(vfs.CrashCloneCfg{})
	case 1:
		disk = n.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(0, 0))})
	}
	_ = n.db.Close()
	n.fs, n.db, n.h = disk, nil, nil
	w.after(back, func() { n.begin(n.open(), false) })
}
