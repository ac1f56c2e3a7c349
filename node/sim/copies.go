package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/node/member"
	"pxkv/node/replica"
	"pxkv/persist"
)

// memory is what the simulation notes beside the code under test: the positions that reached a
// node, in this life of it. Whoever told them has made promises up to there.
type memory map[kv.NodeID]uint64

func (m memory) hear(msg replica.Message) { m[msg.FromNode] = max(m[msg.FromNode], msg.Position) }

// restored is a node's disk that was put back to an earlier moment.
type restored struct {
	original *vfs.MemFS // to put back when it is refused
	born     int64
	position uint64 // of the disk as the first start found it, 0: none has yet
	last     uint64 // of the disk that it should have
	starts   uint64 // as that one has it
	lives    []int  // of all nodes when it came back
	until    time.Duration
}

// Copies makes options for a run in which disks are copied, put back and moved all the time.
func Copies(seed uint64) Options {
	o := Draw(seed)
	r := rand.New(rand.NewPCG(seed, 9))
	o.CopyRate = 1 + 2*r.Float64()
	o.Replicas, o.Replace, o.Moves = 3, 0, Moves{Limits: o.Moves.Limits}
	o.DiskFaults = DiskFaults{}
	return o
}

// copyDisk takes a copy of a node's disk as it is in the middle of what it does, which is used some
// time later in one of the ways in which people use such copies.
func (w *World) copyDisk(n *node) {
	if !n.up || !n.joined || n.paused > w.now || n.old != nil || n.machine.State() == nil ||
		len(n.machine.State().Members) < 2 {
		return // a member that knows of no other has promised nothing to anybody
	}
	copied, err := crashedDisk(n.fs, []int{0, 50, 100}[w.rng.IntN(3)], w.rng.Uint64())
	if err != nil {
		w.fail("%s: copy its disk: %v", n.name, err)
		return
	}
	w.stats.Copies++
	w.note('y', uint64(n.id), n.db.Position())
	use := []func(*node, *vfs.MemFS){w.startCopy, w.startCopy, w.putBack}[w.rng.IntN(3)]
	w.after(w.between(50*time.Millisecond, 4*time.Second), func() {
		if !w.healed && n.up && n.old == nil {
			use(n, copied)
		}
	})
	if w.chance(0.3) {
		w.after(w.between(50*time.Millisecond, 3*time.Second), func() { w.move(n) })
	}
}

// startCopy ends the node and starts it from the copy, in another place.
func (w *World) startCopy(n *node, copied *vfs.MemFS) {
	last := n.db.Position()
	n.crash()
	n.old = &restored{original: n.fs, born: n.volume, last: last, starts: n.starts}
	w.disks++
	n.fs, n.volume = copied, w.disks
	n.restart(w.between(time.Millisecond, 300*time.Millisecond))
}

// putBack replaces the content of the node's volume by that of the copy: what a snapshot of a volume
// or of a virtual machine does. The node itself cannot see it, only whoever remembers it can. So this
// happens at a quiet moment, when all others are there and have been for long enough.
func (w *World) putBack(n *node, copied *vfs.MemFS) {
	for _, o := range w.nodes {
		if !o.up || o.paused > w.now || o.old != nil {
			return
		}
	}
	clear(w.net.cuts)
	w.calm = w.now + 2*time.Second
	last := n.db.Position()
	n.crash()
	old := &restored{original: n.fs, born: n.volume, last: last, starts: n.starts, until: w.calm}
	for _, o := range w.nodes {
		old.lives = append(old.lives, o.life)
	}
	n.old, n.fs = old, copied
	n.restart(w.between(time.Millisecond, 300*time.Millisecond))
}

// move stops a node in order, puts its disk elsewhere, and starts it there.
func (w *World) move(n *node) {
	if w.healed || !n.up || n.paused > w.now || n.old != nil {
		return
	}
	if n.stopElsewhere() {
		w.stats.Moved++
		n.restart(w.between(time.Millisecond, 500*time.Millisecond))
	}
}

// stopElsewhere stops the node in order and puts its disk elsewhere, unless that fails it.
func (n *node) stopElsewhere() bool {
	n.disk.killAt(0)
	ident, _, err := n.db.Identity()
	ident.Stopped = true
	if err == nil {
		err = n.db.SaveIdentity(ident)
	}
	if err != nil {
		n.brokeDown(fmt.Errorf("stop: %w", err)) // a disk may fail then, too
		return false
	}
	n.crash()
	n.w.disks++
	n.volume = n.w.disks
	return true
}

// refused takes the last word of a process that ended by itself. Only one on a copy may, or one that
// was put back to an earlier moment; then its own disk is given back to it. It reports whether it was so.
func (n *node) refused(err error) bool {
	w := n.w
	known := errors.Is(err, replica.ErrCopy) || errors.Is(err, replica.ErrOutdated) ||
		errors.Is(err, replica.ErrTwice) || errors.Is(err, member.ErrRefused)
	if n.replaced(err) || n.hasGone(err) {
		return true
	}
	if n.old == nil || !known {
		return false
	}
	w.stats.Refusals++
	w.note('z', uint64(n.id))
	n.giveBack()
	return true
}

// giveBack ends what runs on the copy, and starts the node on its own disk again.
func (n *node) giveBack() {
	old := n.old
	n.crash()
	n.fs, n.volume, n.old = old.original, old.born, nil
	n.restart(n.w.between(10*time.Millisecond, 500*time.Millisecond))
}

// believed looks, after a turn, whether a node that runs on an old disk was vouched for. Where
// somebody who remembered better could be asked, that is a fault. Where nobody could, the run
// cannot go on with it: this is what no code can see. Nothing of the turn has left the node yet.
func (n *node) believed() bool {
	w, old := n.w, n.old
	if old == nil || n.host.Unvouched() != nil {
		return false
	}
	quiet := true
	remembered := uint64(0)
	for i, o := range w.nodes {
		if o == n || !slices.Contains(n.machine.Members(), o.id) {
			continue // who joined later than the disk knows is not asked
		}
		quiet = quiet && i < len(old.lives) && o.up && o.life == old.lives[i] && o.paused <= w.now &&
			w.net.open(n.id, o.id) && w.net.open(o.id, n.id)
		remembered = max(remembered, o.memory[n.id])
	}
	switch {
	case old.until == 0 && len(n.machine.Members()) > 1:
		return false // a copy: it should have been refused
	case old.last == old.position && n.starts > old.starts:
		// It is as it was. (What nobody was told of, such as what the only voter of a group told its
		// clients, nobody can remember: such a disk is given back below.)
		n.old = nil
		w.check.forgot(n)
		return false
	case len(n.machine.Members()) < 2: // the disk is from when it was alone, so it asks nobody
		n.giveBack()
	case quiet && w.now <= old.until && remembered > old.position:
		w.fail("%s: runs on a disk that ends at batch %d, and others remember promises up to %d", n.name, old.position,
			remembered)
	default:
		n.giveBack()
	}
	return true
}

// place is where the files of a node's disk are.
func (n *node) place(vfs.File) persist.Place { return persist.Place{Inode: 1, Born: n.volume} }
