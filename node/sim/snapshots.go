package sim

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"pxkv/node/kv"
	"pxkv/node/replica"
	"pxkv/persist/data"
)

// Snapshots say how snapshots travel, and what befalls them.
type Snapshots struct {
	Rate   int     // bytes in a second; 0: all at once
	Break  float64 // probability that the connection breaks, for each piece
	Stall  float64 // that it stands still from there on
	NoRoom float64 // how often a second some node's disk has no room for any, for a while
}

const (
	// snapshotPieces is in how many pieces a snapshot travels.
	snapshotPieces = 12
	// slowestSnapshot is how long the largest travels while faults strike, and quickSnapshot after
	// that: a network that is slower than what is written could never catch up.
	slowestSnapshot, quickSnapshot = 4 * time.Second, 300 * time.Millisecond
)

// drawSnapshots makes snapshots slow, refused and cut off, their limits tiny, and the groups that
// compete for places many.
func (o *Options) drawSnapshots() {
	r := rand.New(rand.NewPCG(o.Seed, 4))
	some := func(limit float64) float64 {
		if r.IntN(3) == 0 {
			return 0
		}
		return limit * r.Float64()
	}
	o.LateJoin = r.IntN(3) == 0
	o.Snapshots = Snapshots{
		Rate: []int{0, 300, 3_000, 30_000}[r.IntN(4)], Break: some(0.1), Stall: some(0.03), NoRoom: some(1),
	}
	crowded := r.IntN(4) == 0
	if r.IntN(3) == 0 && !crowded { // with the limits of a real node
		if o.Seed%2 == 0 {
			o.Limits.Snapshots.SmallBytes = 1 // of whose states none is small
		}
		return
	}
	l := replica.SnapshotLimits{
		Out: 1 + r.IntN(3), In: 1 + r.IntN(3),
		Pause:  time.Duration(20+r.IntN(700)) * time.Millisecond,
		Window: time.Duration(400+r.IntN(2000)) * time.Millisecond, WindowBytes: 1,
	}
	l.MostPause = l.Pause * time.Duration(1+r.IntN(8))
	l.SmallBytes = []int64{1, 1, 300}[r.IntN(3)]
	l.SmallOut, l.SmallIn = 1+r.IntN(3), 1+r.IntN(3)
	l.BusyPause = time.Duration(20+r.IntN(300)) * time.Millisecond
	if crowded { // voters and learners of several groups want the one place at the same time
		l.Out, l.In, l.SmallBytes = 1, 3, 1
		o.Nodes, o.Replicas, o.Partitions, o.LateJoin = 4, 3, 3+r.IntN(3), true
		o.Snapshots.Rate = 300
		o.LogBytes = min(o.LogBytes, 1000)
	}
	o.Limits.Snapshots = l
}

// transfer is a snapshot on its way between two nodes.
type transfer struct {
	w                *World
	from, to         *node
	fromLife, toLife int
	s                *replica.Shipment
	stream           bytes.Buffer // what has not left yet
	arrived          bytes.Buffer
	piece            int
	pause            time.Duration // between two pieces
	moved            time.Duration // when the last piece did
	stalled          bool
	done             func() // gives the receiver's place back
}

var (
	errConnection = errors.New("the connection broke")
	errProduce    = errors.New("the snapshot could not be read")
)

// ship streams the state of this moment.
func (n *node) ship(s *replica.Shipment) {
	w := n.w
	w.check.shipped(n, s)
	w.spreads(n, s.Request.Partition)
	t := &transfer{w: w, from: n, to: w.node(s.Request.ToNode), fromLife: n.life, s: s, moved: w.now, done: func() {}}
	w.transfers = append(w.transfers, t)
	opened := false
	err := n.io(func() error {
		snapshot, err := n.db.OpenSnapshot(s.Request.Partition)
		if err != nil {
			return err
		}
		opened = true
		defer func() { _ = snapshot.Close() }()
		_, err = snapshot.WriteTo(&t.stream)
		return err
	})
	if n.reap() || err != nil && (!opened || n.faults.raised.Load()) {
		t.end(fmt.Errorf("%w: %w", errProduce, err))
		return
	}
	if err != nil || t.to == nil {
		w.fail("%s: snapshot of partition %v for node %v: %v", n.name, s.Request.Partition, s.Request.ToNode, err)
		return
	}
	w.stats.Snapshots++
	t.piece = max(1, t.stream.Len()/snapshotPieces)
	if rate := w.o.Snapshots.Rate; rate > 0 {
		slowest := slowestSnapshot
		if w.over {
			slowest = quickSnapshot
		}
		t.pause = min(time.Duration(t.stream.Len())*time.Second/time.Duration(rate), slowest) / snapshotPieces
	}
	if !w.net.once(n.id, t.to.id, t.connect) {
		t.end(errConnection)
	}
}

// gone reports whether the transfer has ended because somebody has.
func (t *transfer) gone() bool {
	switch {
	case !t.from.up || t.from.life != t.fromLife: // nobody is left to report to; the receiver sees the connection end
		t.end(nil)
	case t.s.GivenUp() != nil:
		if errors.Is(t.s.GivenUp(), replica.ErrStalled) {
			t.w.check.givenUp(t)
		}
		t.end(t.s.GivenUp())
	default:
		return false
	}
	return true
}

func (t *transfer) connect() {
	switch {
	case t.gone():
	case !t.to.up:
		t.end(errConnection)
	case t.to.paused > t.w.now || t.to.host == nil:
		t.w.after(20*time.Millisecond, t.connect)
	case t.to.noRoom > t.w.now:
		t.end(kv.NoRoom)
	default:
		t.toLife = t.to.life
		done, err := t.to.host.Admit(t.s.Request)
		if err != nil {
			t.end(err)
			return
		}
		t.done = done
		t.w.check.admitted(t)
		t.step()
	}
}

// step moves a piece, and stages what has arrived when it was the last.
func (t *transfer) step() {
	w := t.w
	if t.gone() {
		return
	}
	if !t.to.up || t.to.life != t.toLife {
		t.end(errConnection)
		return
	}
	if w.faulty() && w.chance(w.o.Snapshots.Break) {
		w.stats.SnapshotsBroken++
		t.end(errConnection)
		return
	}
	t.stalled = w.faulty() && (t.stalled || w.chance(w.o.Snapshots.Stall))
	if t.stalled || t.from.paused > w.now || t.to.paused > w.now || !w.net.open(t.from.id, t.to.id) ||
		!w.net.open(t.to.id, t.from.id) {
		w.after(20*time.Millisecond, t.step)
		return
	}
	if t.to.noRoom > w.now {
		t.end(kv.NoRoom)
		return
	}
	t.moved = w.now
	n, _ := t.arrived.Write(t.stream.Next(t.piece))
	t.s.Move(n)
	if t.stream.Len() > 0 {
		w.after(t.pause, t.step)
		return
	}
	var staged *data.Staged
	err := t.to.io(func() (err error) {
		staged, err = t.to.db.StageSnapshot(t.s.Request.Partition, &t.arrived)
		return err
	})
	switch {
	case t.to.reap():
		t.end(errConnection)
		return
	case errors.Is(err, kv.NoRoom) && t.to.faults.limited.Load(), err != nil && t.to.faults.raised.Load():
		t.end(err)
		return
	case err != nil:
		w.fail("%s: stage snapshot: %v", t.to.name, err)
		return
	}
	t.to.in.Snapshots = append(t.to.in.Snapshots, replica.ArrivedSnapshot{
		Request: t.s.Request, FromNode: t.from.id, Staged: staged,
	})
	t.to.schedule()
	t.end(nil)
}

// end lets both sides know, each if it is still there.
func (t *transfer) end(err error) {
	w := t.w
	w.transfers = slices.DeleteFunc(w.transfers, func(o *transfer) bool { return o == t })
	t.done()
	if !t.from.up || t.from.life != t.fromLife {
		return
	}
	w.check.shipmentEnded(t.from, t.s, err)
	t.from.do(w.net.delay(), func() {
		t.from.in.Reports = append(t.from.in.Reports, replica.SnapshotReport{Shipment: t.s, Err: err})
		t.from.schedule()
	})
}

// fillDisk leaves some node no room for snapshots for a while.
func (w *World) fillDisk(n *node) {
	w.stats.NoRoom++
	n.noRoom = max(n.noRoom, w.now+w.between(50*time.Millisecond, 3*time.Second))
}
