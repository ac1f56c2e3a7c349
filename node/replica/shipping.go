package replica

import (
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"pxkv/node/kv"
)

// shipping decides which snapshots leave this node, and when. It has no clock and no chance of its
// own: it counts ticks, and draws from the incarnation.
//
// A follower that needs a snapshot waits until a place is free and its pause is over; then a
// Shipment of it is under way; then it has landed, and the follower is expected to say so; then it
// catches up from the log, which is kept for it. A failure begins a pause, the library asks again.
type shipping struct {
	h        *Host
	laggards map[laggardKey]*laggard
	waiting  []*laggard  // in the order in which they came
	underWay []*Shipment // those included that nobody waits for
	look     bool        // something has changed since the last launch
	// busy is the tick before which a node that receives as many as it may is asked for no further place, by size.
	busy map[busyKey]uint64
	// told is what an operator was told of a node that snapshots do not reach: once, not for each replica.
	told map[kv.NodeID]failure
}

type busyKey struct {
	node          kv.NodeID
	small, urgent bool
}

type laggardKey struct {
	p  kv.PartitionID
	id kv.ReplicaID
}

// laggard is what a leader remembers of a replica that its log alone does not bring up to date.
type laggard struct {
	g     *group
	id    kv.ReplicaID
	term  uint64 // of the leadership
	stage stage

	// heard is the tick of its last word that its state is void; 0: the library wants the snapshot.
	heard    uint64
	failures int // since the last snapshot that was of use
	last     failure
	until    uint64 // tick before which none is sent

	since   uint64 // tick at which the stage began, or Match last grew in it
	index   uint64 // what the follower needs of the log begins behind it: under way and later
	match   uint64 // the highest seen, when it catches up
	carried int64  // bytes of its snapshot that have left
	small   bool   // the state had few bytes when it began to wait
}

type stage uint8

const (
	idle       stage = iota // needs none now, but the last ones failed
	waiting                 // for a place, and for the end of its pause
	underWay                //
	landed                  // staged there; nothing was heard from it yet
	catchingUp              // has it, and now gets what was logged meanwhile
)

const (
	// landingTicks is how long after its arrival a follower may take to acknowledge a snapshot before
	// it is probed.
	landingTicks = 2 * ElectionTicks
	// lookTicks is between two looks at the same follower.
	lookTicks = 4
	// tellAfter is how many snapshots in a row fail before an operator is told, unless somebody must
	// make room.
	tellAfter = 4
)

func (s *shipping) init(h *Host) {
	s.h, s.laggards, s.told = h, map[laggardKey]*laggard{}, map[kv.NodeID]failure{}
	s.busy = map[busyKey]uint64{}
}

// request notes that the library wants a snapshot sent, and has stopped sending entries until
// it hears how that ended.
func (s *shipping) request(g *group, to kv.ReplicaID) {
	f := s.follower(g, to)
	switch f.stage {
	case waiting, underWay: // what is on its way is as good as what is asked for
		return
	case landed:
		s.fail(f, errNotTaken)
	case catchingUp:
		s.fail(f, errOvertaken)
	case idle:
	}
	f.stage, f.since, f.small = waiting, s.h.clock.ticks, s.small(g)
	s.waiting = append(s.waiting, f)
	s.look = true
}

// follower returns what is known of a follower in this leadership; what is from a former one goes.
func (s *shipping) follower(g *group, id kv.ReplicaID) *laggard {
	key := laggardKey{g.p, id}
	f := s.laggards[key]
	if f != nil && !f.valid() {
		s.drop(f)
		f = nil
	}
	if f == nil {
		f = &laggard{g: g, id: id, term: g.raft.term}
		s.laggards[key] = f
	}
	return f
}

// replace sends a snapshot to a follower whose state is void. The library knows nothing of it: the
// follower's log is as it should be.
func (s *shipping) replace(g *group, to kv.ReplicaID) {
	f := s.follower(g, to)
	f.heard = s.h.clock.ticks
	if f.stage == idle || f.stage >= landed && s.h.clock.ticks-f.since > landingTicks {
		s.request(g, to)
	}
}

// hold gives the shipments of a group up whose state is in doubt; they are sent again later.
func (s *shipping) hold(g *group) {
	for _, ship := range s.underWay {
		if ship.follower != nil && ship.follower.g == g {
			ship.giveUp(errInDoubt)
		}
	}
}

// valid reports whether the leadership that the follower belongs to is still there.
func (f *laggard) valid() bool {
	g := f.g
	return g.h.groups.has(g) && g.leads() && g.raft.term == f.term && InConf(g.applied.Conf, f.id)
}

// progress is how the library sees the follower.
func (f *laggard) progress() (p tracker.Progress) {
	f.g.raft.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if id == uint64(f.id) {
			p = pr
		}
	})
	return p
}

// drop forgets a follower. Its shipment is given up, and keeps its place until it is reported.
func (s *shipping) drop(f *laggard) {
	delete(s.laggards, laggardKey{f.g.p, f.id})
	s.waiting = slices.DeleteFunc(s.waiting, func(o *laggard) bool { return o == f })
	for _, ship := range s.underWay {
		if ship.follower == f {
			ship.follower = nil
			ship.giveUp(errNotNeeded)
		}
	}
}

// launch gives free places to those who wait, the most urgent first.
func (s *shipping) launch() (out []*Shipment) {
	if !s.look || len(s.waiting) == 0 || s.h.err != nil {
		return nil
	}
	s.look = false
	for {
		f := s.next()
		if f == nil {
			return out
		}
		s.waiting = slices.DeleteFunc(s.waiting, func(o *laggard) bool { return o == f })
		ship := &Shipment{Request: SnapshotRequest{
			Partition: f.g.p, From: f.g.id, To: f.id, ToNode: f.g.known.node(f.id), Term: f.term,
			Urgent: f.urgency() > notUrgent, Small: f.small,
		}, follower: f, tick: s.h.clock.ticks}
		f.stage, f.since, f.index, f.carried = underWay, s.h.clock.ticks, f.g.applied.Index, 0
		s.underWay = append(s.underWay, ship)
		out = append(out, ship)
	}
}

// small reports whether the state of a group has few bytes.
func (s *shipping) small(g *group) bool {
	return s.h.cfg.StateBytes != nil && s.h.StateBytes(g.p) <= s.h.cfg.Limits.Snapshots.SmallBytes
}

// room reports whether a place is free for a snapshot of this size, for a learner or for somebody else.
func (s *shipping) room(small bool, u urgency) bool {
	places, learners := s.h.cfg.Limits.Snapshots.outPlaces(small), 0
	all := 0
	for _, ship := range s.underWay {
		if ship.Request.Small != small {
			continue
		}
		if all++; !ship.Request.Urgent {
			learners++
		}
	}
	return all < places && (u > notUrgent || learners < forLearners(places))
}

// next returns who is to get the next place, nil when nobody may have it.
func (s *shipping) next() *laggard {
	var best *laggard
	var most urgency
	for _, f := range slices.Clone(s.waiting) {
		switch {
		case !f.valid() || f.heard == 0 && f.progress().State != tracker.StateSnapshot:
			s.drop(f) // it has gone, or has caught up otherwise
			continue
		case f.until > s.h.clock.ticks && !snapshotNoBackoff, f.g.trust.doubt != nil:
			continue
		case slices.ContainsFunc(s.underWay, func(o *Shipment) bool {
			return o.Request.Partition == f.g.p && o.Request.To == f.id
		}):
			continue // of a former leadership; it is about to end
		}
		u := f.urgency()
		if best != nil && (u <= most || learnerBeforeVoter) || !s.room(f.small, u) ||
			s.busy[f.busyKey(u)] > s.h.clock.ticks {
			continue
		}
		best, most = f, u
	}
	return best
}

func (f *laggard) busyKey(u urgency) busyKey {
	return busyKey{f.g.known.node(f.id), f.small, u > notUrgent}
}

// urgency tells who goes first.
type urgency uint8

const (
	notUrgent urgency = iota // a learner: nobody counts on it yet
	urgent                   // a voter; or one that must know the placement before anything else
	pressing                 // no majority without it
)

func (f *laggard) urgency() urgency {
	conf := f.g.applied.Conf
	most := notUrgent
	if f.g.p == kv.Meta {
		most = urgent // small, and all else on that node waits for it
	}
	for _, voters := range [][]uint64{conf.GetVoters(), conf.GetVotersOutgoing()} {
		if !slices.Contains(voters, uint64(f.id)) {
			continue
		}
		most = max(most, urgent)
		there := 0
		f.g.raft.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
			if slices.Contains(voters, id) && pr.State != tracker.StateSnapshot && f.g.active(kv.ReplicaID(id)) {
				there++
			}
		})
		if there <= len(voters)/2 {
			return pressing
		}
	}
	return most
}

// report takes note of how a shipment ended.
func (s *shipping) report(r SnapshotReport) {
	ship, f := r.Shipment, r.Shipment.follower
	if f == nil && snapshotSlotLeaks {
		return
	}
	i := slices.Index(s.underWay, ship)
	if i < 0 {
		return // reported twice
	}
	s.underWay = slices.Delete(s.underWay, i, i+1)
	s.look = true
	if r.Err == nil {
		s.h.stats.SnapshotsSent.Add(1)
	}
	if f == nil {
		if r.Err != nil {
			s.h.stats.SnapshotsFailed[failedNotNeeded].Add(1)
		}
		return
	}
	f.carried = ship.Moved()
	switch {
	case !f.valid():
		s.drop(f)
	case r.Err == nil:
		f.stage, f.since = landed, s.h.clock.ticks
	case f.heard == 0 && f.progress().State != tracker.StateSnapshot:
		s.drop(f) // it has caught up otherwise
	case snapshotReportLost:
	case failureOf(r.Err) == failedBusy && !snapshotNoBackoff:
		s.wait(f, ship)
	default:
		s.fail(f, r.Err)
		f.stage = idle
		f.g.raft.ReportSnapshot(uint64(f.id), raft.SnapshotFailure)
		s.h.groups.mark(f.g)
	}
}

// tick looks at shipments that do not move, and at what has become of followers.
func (s *shipping) tick() {
	s.look = s.look || len(s.waiting) > 0
	h, limits := s.h, &s.h.cfg.Limits.Snapshots
	for _, ship := range s.underWay {
		window := h.inTicks(limits.Window)
		if h.clock.ticks-ship.tick < window {
			continue
		}
		moved := ship.Moved()
		if moved-ship.before < limits.WindowBytes || snapshotFromZero {
			ship.giveUp(ErrStalled)
			continue
		}
		ship.tick, ship.before = h.clock.ticks, moved
	}
	for key, until := range s.busy {
		if until <= h.clock.ticks {
			delete(s.busy, key)
		}
	}
	if len(s.laggards) == 0 {
		return
	}
	for _, g := range h.groups.ordered { // in an order that every replay has
		if (h.clock.ticks+uint64(g.p))%lookTicks != 0 {
			continue
		}
		for _, r := range g.known.replicas {
			if f := s.laggards[laggardKey{g.p, r.ID}]; f != nil && f.valid() {
				s.follow(f)
			}
		}
	}
	for _, f := range s.laggards { // what is dropped leaves no trace that depends on the order
		if !f.valid() {
			s.drop(f)
		}
	}
}

// follow looks at what has become of one follower.
func (s *shipping) follow(f *laggard) {
	h, pr := s.h, f.progress()
	if f.stage == underWay {
		for _, ship := range s.underWay {
			if ship.follower == f {
				f.carried = ship.Moved()
				if f.heard == 0 && pr.State != tracker.StateSnapshot && pr.Match < f.index {
					ship.giveUp(errNotNeeded)
				}
			}
		}
	}
	switch {
	case f.heard > 0 && pr.State != tracker.StateSnapshot:
		// One that answers and does not say that it is void any more is not. Of one that is silent nobody
		// knows, and what has failed is not forgotten.
		if ago, ok := f.g.known.since(f.id, h.clock.Boot); ok && ago <= answerTicks*h.cfg.Tick &&
			h.clock.ticks-f.heard > 5*voidTicks && h.clock.ticks >= f.until && f.stage != underWay {
			s.succeed(f)
		}
		return
	case pr.State == tracker.StateSnapshot && f.stage == landed && h.clock.ticks-f.since > landingTicks:
		// Its word was lost, or the snapshot was. A probe will tell.
		f.since = h.clock.ticks
		f.g.raft.ReportSnapshot(uint64(f.id), raft.SnapshotFinish)
		h.groups.mark(f.g)
	case pr.State == tracker.StateReplicate && f.stage == landed:
		f.stage, f.since, f.match = catchingUp, h.clock.ticks, pr.Match
	case f.stage == catchingUp && pr.Match > f.match:
		f.since, f.match = h.clock.ticks, pr.Match
	case f.stage >= landed && pr.State != tracker.StateSnapshot &&
		h.clock.ticks-f.since > h.inTicks(h.cfg.Limits.Snapshots.Window):
		s.fail(f, errNotTaken) // the log need not wait for it
		f.stage = idle
	case pr.State == tracker.StateReplicate && f.stage == idle && h.clock.ticks >= f.until:
		s.drop(f)
	}
	if f.stage == catchingUp && f.bytesBehind(pr.Match) <= h.cfg.Limits.logBytes(len(h.groups.ordered))/4 {
		// It is a follower like any other now: so much is kept for those whenever a log is cut. Not before, however
		// short the log is: when it is cut before it has caught up, the snapshot was in vain.
		s.succeed(f)
	}
}

// bytesBehind is about how many bytes of the log a follower lacks.
func (f *laggard) bytesBehind(match uint64) int64 {
	first, _ := f.g.store.FirstIndex()
	last, _ := f.g.store.LastIndex()
	if match >= last || last < first {
		return 0
	}
	return int64(float64(f.g.store.LogBytes()) * float64(last-match) / float64(last-first+1))
}

// wait lets a follower wait again, on a node that receives as many as it may.
func (s *shipping) wait(f *laggard, ship *Shipment) {
	h := s.h
	h.stats.SnapshotsFailed[failedBusy].Add(1)
	key := busyKey{ship.Request.ToNode, ship.Request.Small, ship.Request.Urgent}
	s.busy[key] = h.clock.ticks + h.inTicks(h.cfg.Limits.Snapshots.BusyPause)
	f.stage, f.since = waiting, h.clock.ticks
	s.waiting = append(s.waiting, f)
}

// fail begins a pause, after which the next may be sent. It tells an operator once of what does not
// pass by itself.
func (s *shipping) fail(f *laggard, why error) {
	h, kind := s.h, failureOf(why)
	h.stats.SnapshotsFailed[kind].Add(1)
	f.failures++
	pause := s.pause(f, kind)
	f.until = h.clock.ticks + pause
	log := h.cfg.Logger.Debug
	f.last = kind
	node := f.g.known.node(f.id)
	if was, ok := s.told[node]; (!ok || was != kind) && (kind == failedNoRoom || f.failures >= tellAfter) {
		s.told[node], log = kind, h.cfg.Logger.Warn
	}
	log("a snapshot did not reach its replica", "partition", f.g.p.String(), "replica", uint64(f.id), "node",
		h.cfg.Names.Of(node),
		"failures", f.failures, "next_in", time.Duration(pause)*h.cfg.Tick, "err", why)
}

// pause is how many ticks a follower has to wait now.
func (s *shipping) pause(f *laggard, kind failure) uint64 {
	limits := &s.h.cfg.Limits.Snapshots
	most := limits.MostPause
	if kind == failedNotWanted {
		most = min(most, 8*limits.Pause) // that passes soon, and costs no more than the question
	}
	d := limits.Pause
	for i := 1; i < f.failures && d < most; i++ {
		d *= 2
	}
	ticks := s.h.inTicks(min(d, most))
	// Followers that failed together do not come again together.
	x := s.h.cfg.Incarnation ^ uint64(f.id)*0x9e3779b97f4a7c15 ^ uint64(f.failures)<<32 ^ uint64(f.g.p)
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 32
	return ticks + x%(ticks/2+1)
}

func (s *shipping) succeed(f *laggard) {
	if node := f.g.known.node(f.id); f.failures > 0 {
		if _, ok := s.told[node]; ok {
			delete(s.told, node)
			s.h.cfg.Logger.Info("snapshots reach the node again", "partition", f.g.p.String(), "replica", uint64(f.id),
				"node", s.h.cfg.Names.Of(node), "failures", f.failures)
		}
	}
	s.drop(f)
}

// Crowded lists the nodes whose last word on a snapshot from here was that their disk has no room for it.
func (h *Host) Crowded() (nodes []kv.NodeID) {
	for _, f := range h.shipping.laggards {
		if node := f.g.known.node(f.id); f.failures > 0 && f.last == failedNoRoom && f.valid() &&
			!slices.Contains(nodes, node) {
			nodes = append(nodes, node)
		}
	}
	slices.Sort(nodes)
	return nodes
}

// of returns what is known of a follower of a group that leads now, or nil.
func (s *shipping) of(g *group, id kv.ReplicaID) *laggard {
	if f := s.laggards[laggardKey{g.p, id}]; f != nil && f.valid() {
		return f
	}
	return nil
}

// inTicks is how many ticks a duration takes, at least one.
func (h *Host) inTicks(d time.Duration) uint64 {
	return uint64(max(1, (d+h.cfg.Tick-1)/h.cfg.Tick))
}
