package local

import (
	"time"

	"pxkv/node/kv"
	"pxkv/node/replica"
	"pxkv/persist/state"
)

// View is the state of one replica as a read sees it. It is opened before the state is read, and ends
// with Seen.
type View struct {
	h    *replica.Handle
	m    replica.Moment // before anything was read
	kept bool           // the state is m's for as long as the view lives: the store keeps it
	boot time.Duration  // at which the lease was asked for, 0: it was not
}

// Leased opens a view for a linearizable read by the lease of its leader. boot is the clock as it was
// read before, never after: whatever time passes from here on, the answer is one of a moment within the
// read. false: there is no lease, and others have to be asked first; see Fresh.
func Leased(h *replica.Handle, boot time.Duration) (View, bool) {
	if !h.HasLease(boot) && !(leaseCheckedLate && mayBeLate(h)) {
		return View{}, false
	}
	v := Fresh(h)
	v.boot = boot
	return v, true
}

// Fresh opens a view of a state that is known to have all that was acknowledged before the read began:
// a majority has confirmed it (replica.ReadOp), or an entry that was proposed since is applied.
func Fresh(h *replica.Handle) View { return View{h: h, m: h.Moment()} }

// Again opens a view of what the same replica holds now. Who asked for a partition's replica anew could find one
// that has taken its place meanwhile, has nothing yet, and owes nothing to what was shown of the first.
func (v *View) Again() View { return Fresh(v.h) }

// Kept opens a view of a state that the store keeps for this read: of which index it is, and what the
// group's time was there. It holds whatever changes meanwhile.
func Kept(h *replica.Handle, at state.Applied) View {
	m := h.Moment()
	m.Index, m.TimeMS = at.Index, at.TimeMS
	return View{h: h, m: m, kept: true}
}

// AsIs opens a view of whatever state is here, and tells how old that may be, as of now; false: nobody
// knows. ok is false where there is no state yet, since the first snapshot is still awaited.
func AsIs(h *replica.Handle, now replica.Now) (v View, age time.Duration, known, ok bool) {
	if h.Applied() == 0 {
		return View{}, 0, false, false
	}
	v = Fresh(h)
	age, known = h.Staleness(now) // before the state is read
	return v, age, known, true
}

// Time is the group's time of the state, Unix milliseconds, at most that of what is read.
func (v *View) Time() int64 { return v.m.TimeMS }

// Partition is whose state it is.
func (v *View) Partition() kv.PartitionID { return v.h.Partition }

// Holds reports whether all that was read so far is of one moment: nothing of the partition changed since
// the view was opened.
func (v *View) Holds() bool { return v.kept || v.h.Holds(v.m) }

// Seen ends the reading of the state. index is at or above that of all entries that can have been seen.
// false: the replica was being deleted, or found to be wrong, and nothing that was read counts.
func (v *View) Seen() (index uint64, ok bool) {
	if index = v.h.Shown(); v.kept {
		index = v.m.Index
	}
	if leaseCheckedLate && v.boot != 0 && !v.h.HasLease(v.boot) {
		return index, false
	}
	return index, v.h.Counts(v.m)
}

// Life judges a deadline of something that was read, 0 for none. shown is false when the key is to be kept
// back: it has expired, or is due and the read is stale. due: a linearizable read must bring the
// group's time forward before it answers (replica.Due). clock is called where there is a deadline.
func (v *View) Life(deadlineMS int64, clock func() replica.Now, stale bool) (shown, due bool) {
	if deadlineMS == 0 {
		return true, false
	}
	return v.life(deadlineMS, clock(), stale)
}

// Due are the deadlines that would be due: from one on, until another one, in Unix milliseconds.
func (v *View) Due(now replica.Now) (from, until int64) { return v.m.TimeMS + 1, v.h.Clock(now) }

func (v *View) life(deadlineMS int64, now replica.Now, stale bool) (shown, due bool) {
	switch v.h.Life(deadlineMS, v.m.TimeMS, now) {
	case replica.Expired:
		return false, false
	case replica.Due:
		return !stale, !stale
	}
	return true, false
}
