package rebalance

import (
	"slices"

	"pxkv/node/kv"
)

// watch is what is remembered of a group from one look to the next, while it is led here and
// not yet as it should be.
type watch struct {
	ends  []uint64 // where the log ended at the last looks, oldest first
	tries []try
}

// goal returns where the log ended KeepUpTicks ago, or when the group was first looked at,
// and notes where it ends now.
func (w *watch) goal(last uint64, l *Limits) uint64 {
	const entries = 64 // what the planted bug takes for the measure
	if neverCaughtUp {
		return last - min(last, entries)
	}
	w.ends = append(w.ends, last)
	if n := l.looks(); len(w.ends) > n {
		w.ends = slices.Delete(w.ends, 0, len(w.ends)-n)
	}
	return w.ends[0]
}

// goalSoFar is the goal of the last look, for a look between two ticks, which notes nothing: the goal is a lag in time.
func (w *watch) goalSoFar(last uint64, l *Limits) uint64 {
	if len(w.ends) == 0 || neverCaughtUp {
		return w.goal(last, l)
	}
	return w.ends[0]
}

// whole reports whether the group has been looked at for KeepUpTicks, so that who is behind
// the goal has really had that long.
func (w *watch) whole(l *Limits) bool { return len(w.ends) == l.looks() }

// try is one learner's way to being filled.
type try struct {
	id       kv.ReplicaID
	began    uint64 // tick
	failures int
	paused   bool // it failed, and is not waited for until the pause is over
}

// late reports whether a learner is not waited for. It is waited for FillTicks, then not for
// as long, then again and so on; each failure doubles the pause.
func (w *watch) late(id kv.ReplicaID, keepsUp bool, now uint64, l *Limits) bool {
	i := slices.IndexFunc(w.tries, func(t try) bool { return t.id == id })
	if i < 0 {
		w.tries = append(w.tries, try{id: id, began: now})
		return false
	}
	t := &w.tries[i]
	switch {
	case keepsUp:
		*t = try{id: id, began: now}
	case !t.paused && now-t.began >= l.FillTicks:
		t.paused, t.began = true, now
		t.failures++
	case t.paused && now-t.began >= doubled(l.FillTicks, t.failures, l.MostPauseTicks):
		t.paused, t.began = false, now
	}
	return t.paused
}

// forget drops what was remembered of learners that are none any more.
func (w *watch) forget(g *Group) {
	w.tries = slices.DeleteFunc(w.tries, func(t try) bool { return !slices.Contains(g.Learners, t.id) })
}
