package sim

import (
	"errors"
	"math/rand/v2"
	"time"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/node/member"
	"pxkv/node/meta"
	"pxkv/node/replica"
	"pxkv/persist"
)

// silence is how long nobody may have heard a member before it can be replaced here.
const silence = 1500 * time.Millisecond

// Replacements makes options for a run about little but a member that is replaced, often where a group has no other
// vote; in half of them some stand still or are cut off meanwhile.
func Replacements(seed uint64) Options {
	o := Draw(seed)
	r := rand.New(rand.NewPCG(seed, 15))
	o.Nodes, o.Replicas, o.Partitions = 3+r.IntN(2), 1+2*r.IntN(2), 2+r.IntN(3)
	o.Slow, o.SlowDisk, o.PowerLoss, o.TransferRate, o.AmbushRate, o.CopyRate, o.JumpRate = 0, 0, 0, 0, 0, 0, 0
	o.PanicRate, o.FlipRate, o.Moves, o.Forming, o.GiveUps = 0, 0, Moves{Limits: o.Moves.Limits}, Forming{}, 0
	o.Disks, o.Shutdown, o.Snapshots, o.LateJoin = Disks{}, Shutdown{}, Snapshots{}, false
	o.Limits, o.Store = replica.Limits{}, persist.Limits{}
	o.CrashRate = r.Float64()
	if seed/16%2 == 1 {
		o.CutRate, o.PauseRate = 0, 0
	}
	o.Replace = []int{replaceWiped, replaceCutOff}[r.IntN(2)]
	return o
}

// succession is a member in whose place a fresh node of its name wants to be.
type succession struct {
	former, heir *node
}

// replaceSome loses the disk of a member, or cuts it off from all others although it runs on, and
// starts a fresh node of its name.
func (w *World) replaceSome() {
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	if w.healed {
		return
	}
	if !n.up || !n.joined || n.old != nil || n.machine.State() == nil || len(n.machine.State().Members) < 2 {
		w.after(200*time.Millisecond, w.replaceSome)
		return
	}
	if w.o.Replace == replaceWiped {
		n.crash()
		n.lost = true
	}
	heir := w.addNode()
	heir.name, heir.home = n.name, n.home
	w.placed--
	w.succession = &succession{n, heir}
	if w.o.Replace == replaceCutOff {
		d := w.between(2*time.Second, 6*time.Second)
		for _, o := range w.nodes {
			if o != n {
				w.net.cut(n.id, o.id, d)
				w.net.cut(o.id, n.id, d)
			}
		}
	}
	w.after(w.between(0, time.Second), func() {
		if !heir.lost {
			if w.o.Still > 0 && w.chance(w.o.Still) {
				w.standStill()
			}
			heir.start(false)
		}
	})
}

// reclaim is what an operator does in the end with a newcomer that was not taken: the former one,
// whose vote is needed, comes back with its own disk.
func (w *World) reclaim() {
	s := w.succession
	if s == nil || s.heir.joined || w.removed(s.former) {
		return
	}
	s.heir.crash()
	s.heir.lost, s.former.lost = true, false
	if !s.former.up {
		s.former.restart(0)
	}
}

// removed reports whether any node that is up knows that a node is no member any more.
func (w *World) removed(n *node) bool {
	for _, o := range w.nodes {
		if o.up && o.machine.State() != nil && o.machine.State().WasRemoved(n.id) {
			return true
		}
	}
	return false
}

// replaced takes the end of a node that was told that it is no member any more.
func (n *node) replaced(err error) bool {
	w, s := n.w, n.w.succession
	if s == nil || s.former != n || !errors.Is(err, replica.ErrReplaced) && !errors.Is(err, member.ErrRefused) ||
		!w.removed(n) {
		return false
	}
	w.stats.Replaced++
	w.note('r', uint64(n.id))
	n.crash()
	n.lost = true
	if s.heir.lost {
		s.heir.lost = false
		s.heir.restart(0)
	}
	return true
}

// take proposes what a node says of itself. One whose name is in use waits until all others have said
// what they know of the member that has it.
func (n *node) take(cmd []byte, reply func(meta.Result)) {
	w := n.w
	if n.waiting {
		return // it is in no cluster itself
	}
	propose := func(cmd []byte) {
		n.write(replica.Op{Raw: cmd, Partition: kv.Meta, Reply: func(r entry.Reply) {
			if r.Err != nil {
				return
			}
			res, err := meta.DecodeResult(r.Raw)
			if err != nil {
				w.fail("answer to an introduction: %v", err)
				return
			}
			reply(res)
		}})
	}
	s := n.machine.State()
	v, here := n.host.View(kv.Meta)
	if s == nil || !here || !v.Leads {
		propose(s.Replacing(cmd, 0, 0))
		return
	}
	former, taken := s.Former(cmd)
	if !taken {
		propose(s.Replacing(cmd, 0, 0))
		return
	}
	heard, ever := n.heard[former.ID]
	ago := w.now - heard
	n.inquire(s, former.ID, silence, func(why string, gone bool) {
		if why != "" {
			reply(s.RefuseName(former, why))
			return
		}
		if ever && ago < silence*9/10 && !gone { // clocks differ by less than that
			w.fail("%s replaces %s, which it had heard %v ago when it began to ask", n.name, former.Name, ago)
		}
		propose(s.Replacing(cmd, former.ID, n.now().WallMS))
	})
}

// inquire asks all members what they know of one that is to be replaced or given up, and goes on with what they have
// said some time later: why it must stay; and whether it has said itself that it ended for good.
func (n *node) inquire(s *meta.State, former kv.NodeID, least time.Duration, then func(why string, gone bool)) {
	w := n.w
	q := &member.Inquiry{Former: former, Partitions: s.Partitions, Least: least}
	own := n.host.Witness(former, n.departed[former])
	gone, began := own.Gone, w.now
	q.Hear(n.id, own)
	for _, m := range s.Members {
		if m.ID == n.id || m.ID == former {
			continue
		}
		o := w.node(m.ID)
		w.net.send(n.id, o.id, func() {
			o.do(0, func() {
				said := o.host.Witness(former, o.departed[former])
				gone = gone || said.Gone
				w.net.send(o.id, n.id, func() { n.do(0, func() { q.Hear(o.id, said) }) })
			})
		})
	}
	n.do(w.between(50*time.Millisecond, 500*time.Millisecond), func() {
		if w.now-began > replica.WordBinds/2 {
			then("it was asked too long ago", gone)
			return
		}
		then(q.Decide().Text, gone)
	})
}
