package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/cache"
	"pxkv/node/core"
	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/node/machine"
	"pxkv/node/member"
	"pxkv/node/meta"
	"pxkv/node/pack"
	"pxkv/node/replica"
	"pxkv/persist"
)

const tick = replica.DefaultTick

// node is one simulated process with its disk.
type node struct {
	w      *World
	id     kv.NodeID
	name   string
	fs     *vfs.MemFS
	disk   *device     // fs as this life sees it
	faults *diskFaults // of fs
	clocks

	up     bool
	life   int // grows with each crash; what belongs to an older life never happens
	starts uint64
	paused time.Duration // until
	ending
	noRoom   time.Duration // for snapshots, until
	joined   bool
	inMemory bool               // whatever it has is gone when its process ends
	departed map[kv.NodeID]bool // nodes in memory that told this process that they have ended
	home     int                // its address, which is also that of a former self that lost its disk
	fell     time.Duration      // when it ended the last time
	// formation is of a node that was started without a cluster to begin with; waiting: it knows of none yet.
	formation *member.Formation
	waiting   bool
	kept      persist.Promise // on its disk
	lost      bool            // it is down and does not come back, unless the whole schedule says so
	volume    int64           // where its files are: a copy of them is elsewhere
	memory    memory
	heard     map[kv.NodeID]time.Duration // when a turn of this process had a message of another node last
	// incarnation is drawn at each start; introduced is what the cluster has heard of it.
	incarnation uint64
	introduced  bool
	spoke       int       // how often it introduced itself since the faults ended
	old         *restored // it runs on a disk that was put back to an earlier moment

	db      *persist.DB
	core    *core.Core
	host    *replica.Host // of core
	machine *meta.Machine // of core
	cache   *cache.Cache
	packer  *pack.Packer // nil: it packs nothing

	in        replica.Input
	scheduled bool
	asked     map[*request]bool // not answered yet
	breakAt   breakpoint        // where a turn panics next
	broken    bool              // one did
	tearing   bool              // a planted bug tore a write in two, and the node crashes in between
}

var errTorn = errors.New("crash between two commits that should be one")

func (w *World) addNode() *node {
	n := &node{
		w: w, id: kv.NodeID(len(w.nodes) + 1), name: fmt.Sprintf("n%d", len(w.nodes)+1), fs: vfs.NewCrashableMem(),
		faults: &diskFaults{lost: map[string]map[int64][]byte{}},
		clocks: clocks{rate: 1 + w.o.ClockDrift*(2*w.rng.Float64()-1), zero: w.between(time.Hour, 2*time.Hour)},
	}
	w.disks++
	n.volume = w.disks
	n.home = w.placed
	w.placed++
	n.remembers()
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

// do runs f in this life of the node, after a delay, and not while it is paused.
func (n *node) do(d time.Duration, f func()) {
	life := n.life
	var try func()
	try = func() {
		switch {
		case !n.up || n.life != life:
		case n.paused > n.w.now:
			n.w.after(n.pause(), try)
		default:
			f()
			n.reap()
		}
	}
	n.w.after(d, try)
}

// start boots the process on whatever its disk holds.
func (n *node) start(bootstrap bool) {
	w := n.w
	db := n.open()
	if db == nil {
		return
	}
	if n.old != nil && n.old.position == 0 {
		n.old.position = db.Position()
	}
	start, err := core.Identify(db, n.name, func() kv.NodeID { return n.id }, w.rng.Uint64()|1)
	if err != nil {
		n.startFailed(db, "identity", err)
		return
	}
	if start.Former != 0 {
		w.fail("%s: a directory was moved before its node was in a cluster, and the simulation has no other id for it",
			n.name)
		return
	}
	ident := start.Identity
	n.starts, n.incarnation, n.introduced = ident.Starts, start.Incarnation, false
	n.heard, n.departed = map[kv.NodeID]time.Duration{}, map[kv.NodeID]bool{}
	n.packer = w.packing.draw(&w.o)
	n.db, n.cache, n.joined = db, cache.New(w.o.CacheSize), ident.Cluster != 0
	n.core, err = core.New(core.Options{
		DB: db, Start: start, Moves: w.o.Moves.Limits,
		Values: func() replica.StateMachine { return &machine.KV{Known: n.cache.Has, Disturb: n.disturb} },
		Host: replica.Config{
			Cache: fragile{n.cache, n}, Logger: n.log(), QuorumReads: w.o.QuorumReads, Limits: w.o.limits(),
			RestAfter: w.o.RestAfter, StateBytes: w.o.Moves.stateBytes,
		},
	})
	if err != nil {
		n.startFailed(db, "start", err)
		return
	}
	n.host, n.machine = n.core.Host, n.core.Machine
	n.up, n.in, n.scheduled, n.asked = true, replica.Input{}, false, map[*request]bool{}
	n.breakAt, n.broken = 0, false
	n.memory = memory{}
	n.formation, n.waiting, n.kept = nil, false, ident.Promise
	if bootstrap {
		n.bootstrap(ident)
	}
	if !n.joined && !n.adopt() {
		return
	}
	w.check.started(n)
	if !n.joined && w.o.Expect > 0 {
		n.form(ident.Promise)
		return
	}
	n.enter()
}

func (n *node) tick() {
	n.do(time.Duration(float64(tick)/n.rate), n.tick) // on schedule; while paused the last one waits
	n.in.Tick = true
	n.schedule()
}

func (n *node) write(op replica.Op) {
	answered, reply := n.ask("write", op.Partition), op.Reply
	op.Reply = func(r entry.Reply) { answered(); reply(r) }
	n.in.Ops = append(n.in.Ops, op)
	n.schedule()
}

func (n *node) read(op replica.ReadOp) {
	answered, reply := n.ask("read", op.Partition), op.Reply
	op.Reply = func(err *kv.Error) { answered(); reply(err) }
	n.in.Reads = append(n.in.Reads, op)
	n.schedule()
}

func (n *node) schedule() {
	if !n.scheduled && !n.waiting {
		n.scheduled = true
		n.do(n.w.between(0, n.w.o.TurnDelay), n.turn)
	}
}

func (n *node) turn() {
	w := n.w
	n.scheduled = false
	in := n.in
	n.in = replica.Input{}
	for i := range in.Messages {
		n.heard[in.Messages[i].FromNode] = w.now
	}
	w.note('t', uint64(n.id), uint64(len(in.Messages)), uint64(len(in.Ops)), uint64(len(in.Finished)))
	var out replica.Output
	err := n.io(func() (err error) {
		out, err = n.host.Turn(n.now(), &in)
		return err
	})
	if n.tearing {
		n.crash()
		return
	}
	if n.reap() {
		return
	}
	if n.broken {
		n.endBroken()
		return
	}
	if err != nil {
		n.brokeDown(err)
		return
	}
	if n.believed() {
		return
	}
	n.sendFrames(out.Frames)
	for _, s := range out.Snapshots {
		n.ship(s)
	}
	if out.More {
		n.schedule()
	}
	if j := n.host.TakeJob(); j != nil {
		n.startJob(j)
	}
	w.check.turn(n)
	if in.Tick {
		w.check.resources(n)
		w.check.departures(n)
		w.check.health(n)
	}
}

// startJob lets the disk take its time; a crash before the commit loses the job, one after
// it only the news of it.
func (n *node) startJob(j *replica.Job) {
	w := n.w
	d := w.between(50*time.Microsecond, time.Millisecond)
	if w.faulty() && w.chance(w.o.SlowDisk) {
		d = w.between(10*time.Millisecond, 500*time.Millisecond)
	}
	d += n.diskDelay()
	terms := n.w.check.durable(n)
	n.do(d, func() {
		if err := n.io(j.Commit); err != nil {
			if n.tearing {
				n.crash()
				return
			}
			if n.reap() {
				return
			}
			n.brokeDown(fmt.Errorf("commit: %w", err))
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
			n.w.check.says(f.To, m)
			n.w.check.pins(to, &m, f.Data)
			n.w.net.send(n.id, f.To, func() { to.deliver(m) })
		}
	}
}

func (n *node) deliver(m replica.Message) {
	if !n.up || n.waiting {
		return
	}
	if len(n.in.Messages) < 10_000 { // a paused process has a full socket at some time
		n.in.Messages = append(n.in.Messages, m)
		n.memory.hear(m)
	}
	n.schedule()
}

// restart brings the process back after a delay.
func (n *node) restart(d time.Duration) {
	n.w.after(d, func() {
		if !n.up && !n.lost {
			n.w.stats.Restarts++
			n.w.giveUpSome(n)
			n.start(false)
		}
	})
}
