package node

import (
	"log/slog"
	"time"

	"pxkv/node/autopilot"
	"pxkv/node/kv"
	"pxkv/node/meta"
)

// departure is how far a member is on its way out, as this node has seen it while it led the meta group.
type departure struct {
	view     kv.DepartureView
	most     int       // partitions that it had when it was first looked at
	progress time.Time // when something last became less
	from     time.Time // of the pace: when there were
	bytes    int64     // so many bytes
}

const (
	// stallTime is after how long without any progress a departure counts as stalled.
	stallTime = time.Minute
	// paceTime is over how long the pace is measured.
	paceTime = 10 * time.Second
)

// note keeps what is shown of those that depart, of whom so much is left.
func (st *steering) note(s *meta.State, remains map[kv.NodeID]autopilot.Remains, now time.Time, log *slog.Logger) {
	st.mu.Lock()
	defer st.mu.Unlock()
	former := st.departures
	st.departures = map[kv.NodeID]*departure{}
	for _, m := range s.Departing() {
		if m.Departure == nil {
			continue
		}
		left := remains[m.ID]
		d := former[m.ID]
		if d == nil {
			d = &departure{progress: now, from: now, bytes: left.Bytes}
			d.view.Left, d.view.LeftBytes = len(left.Partitions), left.Bytes
		}
		went := !d.stalled()
		d.note(left, now)
		d.view.SinceMS, d.view.Cause = m.Departure.AtMS, m.Departure.Cause
		if went && d.stalled() {
			log.Warn("a member that departs makes no progress", "node", m.Name, "waits", d.view.Waits)
		}
		st.departures[m.ID] = d
	}
}

// stalled reports whether nothing has become less for stallTime.
func (d *departure) stalled() bool { return d.view.StalledSeconds > 0 }

func (d *departure) note(left autopilot.Remains, now time.Time) {
	v := &d.view
	if len(left.Partitions) < v.Left || left.Bytes < v.LeftBytes {
		d.progress = now
	}
	v.Left, v.LeftBytes = len(left.Partitions), left.Bytes
	d.most = max(d.most, v.Left)
	v.Moved = d.most - v.Left
	if past := now.Sub(d.from); past >= paceTime {
		v.BytesPerSecond = max(0, int64(float64(d.bytes-v.LeftBytes)/past.Seconds()))
		d.from, d.bytes = now, v.LeftBytes
	}
	if v.SecondsLeft = 0; v.BytesPerSecond > 0 {
		v.SecondsLeft = (v.LeftBytes + v.BytesPerSecond - 1) / v.BytesPerSecond
	}
	if v.StalledSeconds = 0; now.Sub(d.progress) >= stallTime {
		v.StalledSeconds = int64(now.Sub(d.progress).Seconds())
	}
	v.Waits = nil
	for _, w := range left.Waits {
		v.Waits = append(v.Waits, kv.WaitView{Partitions: w.Partitions, Why: w.Why})
	}
}

// forget forgets all of them: another node leads now.
func (st *steering) forget() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.departures, st.known = nil, nil
}

// shown is what others are told of them.
func (st *steering) shown() map[kv.NodeID]kv.DepartureView {
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.departures) == 0 {
		return nil
	}
	out := map[kv.NodeID]kv.DepartureView{}
	for id, d := range st.departures {
		out[id] = d.view
	}
	return out
}

// stalledNow is how many of them make no progress.
func (st *steering) stalledNow() (n int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, d := range st.departures {
		if d.stalled() {
			n++
		}
	}
	return n
}
