package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/cache"
	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/rebalance"
	"pxkv/node/replica"
	"pxkv/persist"
)

const tick = replica.DefaultTick

// node is one simulated process with its disk.
type node struct {
	w    *World
	id   kv.NodeID
	name string
	fs   *vfs.MemFS
	rate float64       // of its clock
	zero time.Duration // its clock at the world's start
	wall time.Duration // by how much its wall clock is ahead of that

	up      bool
	life    int // grows with each crash; what belongs to an older life never happens
	starts  uint64
	paused  time.Duration // until
	joined  bool
	db      *persist.DB
	host    *replica.Host
	machine *meta.Machine
	cache   *cache.Cache

	in        replica.Input
	scheduled bool
	tearing   bool // a planted bug tore a write in two, and the node crashes in between
}

var errTorn = errors.New("crash between two commits that should be one")

func (w *World) addNode() *node {
	n := &node{
		w: w, id: kv.NodeID(len(w.nodes) + 1), name: fmt.Sprintf("n%d", len(w.nodes)+1), fs: vfs.NewCrashableMem(),
		rate: 1 + w.o.ClockDrift*(2*w.rng.Float64()-1), zero: w.between(time.Hour, 2*time.Hour),
	}
	w.nodes = append(w.nodes, n)
	return n
}

// log names the node in every line and tells the virtual time.
func (n *node) log() *slog.Logger {
	if n.w.o.Log == nil {
		return nil
	}
	return slog.New(virtualTime{n.w.o.Log.Handler(), n.w}).With("node", n.name)
}

// virtualTime adds the moment at which a line is logged.
type virtualTime struct {
	slog.Handler
	w *World
}

// Handle implements slog.Handler.
func (h virtualTime) Handle(ctx context.Context, r slog.Record) error {
	r.AddAttrs(slog.Duration("at", h.w.now))
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h virtualTime) WithAttrs(as []slog.Attr) slog.Handler {
	return virtualTime{h.Handler.WithAttrs(as), h.w}
}

// boot is the node's own monotonic clock.
func (n *node) boot() time.Duration { return n.zero + time.Duration(float64(n.w.now)*n.rate) }

// now is what the node's two clocks say.
func (n *node) now() replica.Now {
	return replica.Now{Boot: n.boot(), WallMS: int64((n.boot() + n.wall) / time.Millisecond)}
}

// do runs f in this life of the node, after a delay, and not while it is paused.
func (n *node) do(d time.Duration, f func()) {
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

// start boots the process on whatever its disk holds.
func (n *node) start(bootstrap bool) {
	w := n.w
	db, err := persist.Open(persist.Options{
		Dir: "data", FS: n.fs, Light: true,
		Fatal:   func(text string) { panic(text) },
		Between: n.tear,
	})
	if err != nil {
		w.fail("%s: open: %v", n.name, err)
		return
	}
	ident, known, err := db.Identity()
	if err != nil {
		w.fail("%s: identity: %v", n.name, err)
		return
	}
	if !known {
		ident = persist.Identity{Node: n.id, Name: n.name}
	}
	ident.Starts++
	n.starts = ident.Starts
	if err := db.SaveIdentity(ident); err != nil {
		w.fail("%s: save identity: %v", n.name, err)
		return
	}
	n.db, n.machine, n.cache = db, meta.NewMachine(db, n.id), cache.New(w.o.CacheSize)
	n.joined = ident.Cluster != 0
	n.machine.SetOwn(ident.MetaReplica)
	exec := &rebalance.Executor{State: n.machine.State}
	n.host, err = replica.NewHost(replica.Config{
		Node: n.id, Incarnation: w.rng.Uint64(), DB: db, Policy: n.machine, Cache: n.cache,
		Machine: func(p kv.PartitionID) replica.StateMachine {
			if p == kv.Meta {
				return n.machine
			}
			return &replica.KV{Known: n.cache.Has}
		},
		Logger: n.log(), Fresh: bootstrap, QuorumReads: w.o.QuorumReads, LogBytes: w.o.LogBytes, OnTick: exec.Tick,
	})
	if err != nil {
		w.fail("%s: start: %v", n.name, err)
		return
	}
	n.up, n.in, n.scheduled = true, replica.Input{}, false
	n.life++
	if bootstrap {
		n.bootstrap(ident)
	}
	w.check.started(n)
	n.tick()
	n.do(0, n.schedule)
	if !n.joined {
		n.do(w.between(0, 300*time.Millisecond), n.join)
	}
}

func (n *node) bootstrap(ident persist.Identity) {
	w := n.w
	s := meta.Bootstrap(w.cluster, "sim", w.o.Partitions, w.o.Replicas, n.member())
	err := n.host.Bootstrap(kv.Meta, s.Members[0].MetaReplica, n.machine.Seed(&s))
	for p, row := range s.Placement {
		err = errors.Join(err, n.host.Bootstrap(kv.PartitionID(p), row[0].ID, nil))
	}
	if err == nil {
		err = errors.Join(n.host.CommitNow(), n.machine.Reload())
	}
	ident.Cluster, ident.MetaReplica = w.cluster, s.Members[0].MetaReplica
	if err = errors.Join(err, n.db.SaveIdentity(ident)); err != nil {
		w.fail("bootstrap: %v", err)
	}
	n.machine.SetOwn(ident.MetaReplica)
	n.joined = true
}

func (n *node) member() meta.Member {
	return meta.Member{ID: n.id, Name: n.name, Starts: n.starts, Incarnation: uint64(n.id),
		Addresses: kv.Addresses{HTTP: n.name + ":80", Peer: n.name + ":1", Gossip: n.name + ":2"}}
}

// join asks the others, one after the other, until the meta leader has committed this node.
func (n *node) join() {
	w := n.w
	if n.joined {
		return
	}
	n.do(500*time.Millisecond, n.join)
	to := w.nodes[w.rng.IntN(len(w.nodes))]
	w.net.send(n.id, to.id, func() {
		if !to.up {
			return
		}
		to.do(0, func() {
			to.write(replica.Op{Partition: kv.Meta, Raw: meta.Join{Member: n.member()}.Encode(), Reply: func(r replica.Reply) {
				if r.Err != nil {
					return
				}
				res, err := meta.DecodeResult(r.Raw)
				if err != nil || res.Join == nil {
					w.fail("join of %s: %v %v", n.name, err, res.Refused)
					return
				}
				w.net.send(to.id, n.id, func() { n.do(0, func() { n.welcome(res.Join.Member.MetaReplica) }) })
			}})
		})
	})
}

func (n *node) welcome(id kv.ReplicaID) {
	if n.joined {
		return
	}
	ident, _, err := n.db.Identity()
	ident.Cluster, ident.MetaReplica = n.w.cluster, id
	if err = errors.Join(err, n.db.SaveIdentity(ident)); err != nil {
		n.w.fail("%s: save identity: %v", n.name, err)
	}
	n.machine.SetOwn(id)
	n.joined = true
}

func (n *node) tick() {
	n.do(time.Duration(float64(tick)/n.rate), n.tick) // on schedule; while paused the last one waits
	n.in.Tick = true
	n.schedule()
}

func (n *node) write(op replica.Op) {
	n.in.Ops = append(n.in.Ops, op)
	n.schedule()
}

func (n *node) read(op replica.ReadOp) {
	n.in.Reads = append(n.in.Reads, op)
	n.schedule()
}

func (n *node) schedule() {
	if !n.scheduled {
		n.scheduled = true
		n.do(n.w.between(0, 200*time.Microsecond), n.turn)
	}
}

func (n *node) turn() {
	w := n.w
	n.scheduled = false
	in := n.in
	n.in = replica.Input{}
	w.note('t', uint64(n.id), uint64(len(in.Messages)), uint64(len(in.Ops)), uint64(len(in.Finished)))
	out, err := n.host.Turn(n.now(), &in)
	if n.tearing {
		n.crash()
		return
	}
	if err != nil {
		w.fail("%s: %v", n.name, err)
		return
	}
	n.sendFrames(out.Frames)
	for _, r := range out.Snapshots {
		n.sendSnapshot(r)
	}
	if out.More {
		n.schedule()
	}
	if j := n.host.TakeJob(); j != nil {
		n.startJob(j)
	}
	w.check.turn(n)
}

// startJob lets the disk take its time; a crash before the commit loses the job, one after
// it only the news of it.
func (n *node) startJob(j *replica.Job) {
	w := n.w
	d := w.between(50*time.Microsecond, time.Millisecond)
	if w.faulty() && w.chance(w.o.SlowDisk) {
		d = w.between(10*time.Millisecond, 500*time.Millisecond)
	}
	terms := n.w.check.durable(n)
	n.do(d, func() {
		if err := n.commit(j); err != nil {
			if n.tearing {
				n.crash()
				return
			}
			w.fail("%s: commit: %v", n.name, err)
			return
		}
		n.do(w.between(0, 300*time.Microsecond), func() {
			w.check.promised(terms)
			n.sendFrames(j.Frames())
			n.in.Finished = append(n.in.Finished, j)
			n.schedule()
		})
	})
}

func (n *node) commit(j *replica.Job) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return j.Commit()
}

// tear is called by builds with a planted bug between two commits.
func (n *node) tear() {
	if n.w.faulty() && n.w.chance(0.02) {
		n.tearing = true
		panic(errTorn)
	}
}

func (n *node) sendFrames(frames []replica.Frame) {
	for _, f := range frames {
		ms, err := replica.DecodeFrame(nil, n.id, f.Data)
		if err != nil {
			n.w.fail("%s: own frame: %v", n.name, err)
			return
		}
		to := n.w.node(f.To)
		if to == nil {
			n.w.fail("%s: frame for unknown node %v", n.name, f.To)
			return
		}
		for _, m := range ms {
			n.w.net.send(n.id, f.To, func() { to.deliver(m) })
		}
	}
}

func (n *node) deliver(m replica.Message) {
	if !n.up {
		return
	}
	if len(n.in.Messages) < 10_000 { // a paused process has a full socket at some time
		n.in.Messages = append(n.in.Messages, m)
	}
	n.schedule()
}

// sendSnapshot streams the state of this moment; the report comes when the stream has ended.
func (n *node) sendSnapshot(r replica.SnapshotRequest) {
	w := n.w
	report := func(failed bool) {
		n.do(w.net.delay(), func() {
			n.in.Reports = append(n.in.Reports, replica.SnapshotReport{Request: r, Failed: failed})
			n.schedule()
		})
	}
	s, err := n.db.OpenSnapshot(r.Partition)
	if err != nil {
		report(true)
		return
	}
	var stream bytes.Buffer
	_, err = s.WriteTo(&stream)
	s.Close()
	to := w.node(r.ToNode)
	if err != nil || to == nil {
		w.fail("%s: snapshot of partition %v for node %v: %v", n.name, r.Partition, r.ToNode, err)
		return
	}
	w.stats.Snapshots++
	if !w.net.once(n.id, to.id, func() {
		if !to.up {
			report(true)
			return
		}
		to.take(r, n.id, &stream, report)
	}) {
		report(true)
	}
}

// take receives a snapshot stream, once the node is not paused any more. The sender learns how it
// ended, also when the node crashes first: the connection breaks.
func (n *node) take(r replica.SnapshotRequest, from kv.NodeID, stream *bytes.Buffer, report func(failed bool)) {
	life := n.life
	var try func()
	try = func() {
		switch {
		case !n.up || n.life != life || n.paused <= n.w.now && !n.host.Wants(r):
			report(true)
			return
		case n.paused > n.w.now:
			n.w.after(n.paused-n.w.now, try)
			return
		}
		staged, err := n.db.StageSnapshot(r.Partition, stream)
		if err != nil {
			n.w.fail("%s: stage snapshot: %v", n.name, err)
			return
		}
		n.in.Snapshots = append(n.in.Snapshots, replica.ArrivedSnapshot{Request: r, FromNode: from, Staged: staged})
		n.schedule()
		report(false)
	}
	n.w.after(0, try)
}

// crash ends the process and what its disk had not synced, or some of it.
func (n *node) crash() {
	w := n.w
	if !n.up {
		return
	}
	w.stats.Crashes++
	w.note('c', uint64(n.id))
	n.up, n.tearing = false, false
	percent := w.o.Unsynced
	if percent < 0 {
		percent = []int{0, 50, 100}[w.rng.IntN(3)]
	}
	disk, err := crashedDisk(n.fs, percent, rand.New(rand.NewPCG(w.rng.Uint64(), 1)))
	if err != nil {
		w.fail("%s: crash: %v", n.name, err)
		return
	}
	n.fs = disk
	for _, c := range w.clients {
		c.nodeCrashed(n)
	}
	db := n.db
	n.db, n.host = nil, nil
	closeCrashed(db)
}

// closeCrashed frees what a dead process held; its disk was copied before, so nothing that
// happens here counts.
func closeCrashed(db *persist.DB) {
	defer func() { _ = recover() }()
	_ = db.Close()
}

// restart brings the process back after a delay.
func (n *node) restart(d time.Duration) {
	n.w.after(d, func() {
		if !n.up {
			n.w.stats.Restarts++
			n.start(false)
		}
	})
}
