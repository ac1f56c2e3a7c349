package replica

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"pxkv/node/kv"
)

// shipper is a solo whose groups get followers that cannot be brought up to date from the log.
type shipper struct {
	*solo
	sent []*Shipment
}

func newShipper(t *testing.T, groups int, limits SnapshotLimits) *shipper {
	return &shipper{solo: newSolo(t, groups, Limits{Snapshots: limits})}
}

func (s *shipper) step() {
	s.t.Helper()
	s.turn()
	s.sent = append(s.sent, s.out.Snapshots...)
	s.commit(s.h.TakeJob())
}

// ticks lets time pass, in which the followers answer the leaders' heartbeats.
func (s *shipper) ticks(n int) {
	s.t.Helper()
	for range n {
		s.now += s.h.cfg.Tick
		s.in.Tick = true
		for _, g := range s.h.groups.ordered {
			for _, r := range g.known.replicas {
				if g.leads() && r.ID != g.id {
					s.hear(g, r.ID, &pb.Message{Type: pb.MsgHeartbeatResp.Enum()})
				}
			}
		}
		s.step()
		s.step()
	}
}

func (s *shipper) hear(g *group, from kv.ReplicaID, m *pb.Message) {
	m.From, m.To, m.Term = new(uint64(from)), new(uint64(g.id)), new(g.raft.BasicStatus().GetTerm())
	s.in.Messages = append(s.in.Messages, Message{
		Kind: RaftMessage, Partition: g.p, From: from, To: g.id, FromNode: g.known.node(from), Raft: m,
	})
}

// add gives a partition an empty follower on another node, which says that it has nothing.
func (s *shipper) add(p kv.PartitionID, id kv.ReplicaID, node kv.NodeID, voter bool) {
	s.t.Helper()
	g := s.h.groups.of[p]
	kind := pb.ConfChangeAddLearnerNode
	if voter {
		kind = pb.ConfChangeAddNode
	}
	cc := &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{{Type: kind.Enum(), NodeId: new(uint64(id))}}}
	if err := s.h.ProposeConf(p, cc, []kv.Replica{{ID: id, Node: node}}); err != nil {
		s.t.Fatal(err)
	}
	for range 5 {
		s.step()
	}
	next := (&laggard{g: g, id: id}).progress().Next
	s.hear(g, id, &pb.Message{
		Type: pb.MsgAppResp.Enum(), Reject: new(true), Index: new(next - 1), RejectHint: new(uint64(0)),
	})
	s.step()
}

func (s *shipper) report(ship *Shipment, err error) {
	s.t.Helper()
	s.in.Reports = append(s.in.Reports, SnapshotReport{Shipment: ship, Err: err})
	s.step()
	s.step()
}

// only returns the one shipment that has left since the last call.
func (s *shipper) only() *Shipment {
	s.t.Helper()
	if len(s.sent) != 1 {
		s.t.Fatalf("%d snapshots were sent, want 1", len(s.sent))
	}
	ship := s.sent[0]
	s.sent = nil
	return ship
}

// until counts the ticks up to the next shipment.
func (s *shipper) until(most int) int {
	s.t.Helper()
	for n := range most {
		if len(s.sent) > 0 {
			return n
		}
		s.ticks(1)
	}
	s.t.Fatalf("no snapshot was sent in %d ticks", most)
	return 0
}

func TestAFailedSnapshotIsSentAgainLaterEachTime(t *testing.T) {
	t.Parallel()
	s := newShipper(t, 2, SnapshotLimits{Pause: 10 * DefaultTick, MostPause: 60 * DefaultTick})
	var log bytes.Buffer
	s.h.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s.add(0, 7, 3, false)
	for i, least := range []int{10, 20, 40, 60, 60} {
		s.report(s.only(), kv.NoRoom)
		progress, _ := s.h.Progress(0)
		if pr := progress[7]; pr.Failures != i+1 || pr.Refusal != kv.NoRoom {
			t.Errorf("the leader sees %+v after %d failures", pr, i+1)
		}
		if got := s.h.Crowded(); !slices.Equal(got, []kv.NodeID{3}) {
			t.Errorf("nodes without room: %v, want 3", got)
		}
		// One tick is under way when the pause begins, and up to half of it is added by chance.
		if got := s.until(200); got < least-1 || got > least*3/2+heartbeatTicks {
			t.Errorf("after %d failures the next snapshot left %d ticks later, want %d to %d", i+1, got, least,
				least*3/2)
		}
	}
	s.add(1, 8, 3, false)
	s.report(s.sent[len(s.sent)-1], kv.NoRoom) // of another partition, for the same node
	s.sent = s.sent[:len(s.sent)-1]
	if n := strings.Count(log.String(), "did not reach"); n != 1 {
		t.Errorf("an operator is told %d times:\n%s", n, log.String())
	}
	g := s.h.groups.of[0]
	s.report(s.only(), nil)
	s.hear(g, 7, &pb.Message{Type: pb.MsgAppResp.Enum(), Index: new(g.applied.Index)})
	s.ticks(2 * lookTicks)
	progress, _ := s.h.Progress(0)
	if pr := progress[7]; pr.Failures != 0 || s.h.shipping.of(g, 7) != nil {
		t.Errorf("after a snapshot that arrived the leader sees %+v and remembers %+v", pr, s.h.shipping.of(g, 7))
	}
}

func TestWhoIsBusyIsAskedAgainSoon(t *testing.T) {
	t.Parallel()
	s := newShipper(t, 1, SnapshotLimits{Pause: 2 * DefaultTick, MostPause: time.Hour})
	s.add(0, 7, 3, false)
	for range 12 {
		s.report(s.only(), kv.Busy)
		s.until(8 * 2 * 2)
	}
}

// The first two are learners and take all places that they may have. Then come a learner, a voter,
// and a voter without which its group has no majority.
func TestAVoterDoesNotWaitForLearners(t *testing.T) {
	t.Parallel()
	s := newShipper(t, 5, SnapshotLimits{Out: 3})
	s.add(0, 10, 3, false)
	s.add(1, 11, 3, false)
	s.add(2, 12, 3, false)
	if len(s.sent) != 2 {
		t.Fatalf("%d learners are sent a snapshot, want 2 of 3 places taken", len(s.sent))
	}
	learners := s.sent
	s.sent = nil
	s.add(3, 13, 3, true)
	voter := s.only()
	if voter.Request.To != 13 || !voter.Request.Urgent {
		t.Fatalf("the last place went to %+v, want voter 13", voter.Request)
	}
	s.add(4, 14, 3, true)
	if len(s.sent) != 0 {
		t.Fatalf("a fourth snapshot was sent at once")
	}
	s.report(learners[0], nil)
	if got := s.only(); got.Request.To != 14 {
		t.Errorf("the free place went to %+v, want voter 14, before learner 12, who waits for longer", got.Request)
	}
	s.report(learners[1], nil)
	if got := s.only(); got.Request.To != 12 {
		t.Errorf("the next place went to %+v, want learner 12", got.Request)
	}
}

func TestAShipmentIsGivenUpWhenItHardlyMoves(t *testing.T) {
	t.Parallel()
	s := newShipper(t, 1, SnapshotLimits{Window: 10 * DefaultTick, WindowBytes: 1000})
	s.add(0, 7, 3, false)
	ship := s.only()
	for range 100 { // a hundred windows: no limit for the whole
		ship.Move(1000)
		s.ticks(10)
		if ship.GivenUp() != nil {
			t.Fatalf("given up though it moves: %v", ship.GivenUp())
		}
	}
	// A process that was stopped saw no time in which it could have moved.
	s.now += time.Hour
	ship.Move(1000)
	s.ticks(1)
	if ship.GivenUp() != nil {
		t.Fatalf("given up after a pause of the process: %v", ship.GivenUp())
	}
	ship.Move(999)
	s.ticks(20)
	if !errors.Is(ship.GivenUp(), ErrStalled) {
		t.Errorf("it trickles, and was not given up: %v", ship.GivenUp())
	}
	if len(s.h.shipping.underWay) != 1 {
		t.Error("its place is free before it was reported")
	}
	s.report(ship, ship.GivenUp())
	if len(s.h.shipping.underWay) != 0 || s.h.stats.SnapshotsFailed[failedStalled].Load() != 1 {
		t.Error("its place is not free after it was reported")
	}
}

// A shipment ends with the leadership that it was made for. Its report frees its place and touches
// nothing that a later leadership has under way to the same follower.
func TestAShipmentEndsWithItsLeadership(t *testing.T) {
	t.Parallel()
	s := newShipper(t, 1, SnapshotLimits{Pause: DefaultTick})
	s.add(0, 7, 3, false)
	first, g := s.only(), s.h.groups.of[0]
	g.setLeader(g.raft.term, g.raft.lead, 0) // as if it had lost an election and won the next
	g.setLeader(g.raft.term+1, g.id, 2)
	s.ticks(1)
	if first.GivenUp() == nil {
		t.Fatal("the shipment of a former leadership goes on")
	}
	s.h.shipping.request(g, 7)
	s.ticks(3)
	if len(s.sent) != 0 {
		t.Fatal("a second snapshot is sent to a follower while one is under way")
	}
	s.report(first, errors.New("given up"))
	second := s.only()
	s.report(first, errors.New("once more")) // a driver that repeats itself does no harm
	if !slices.Equal(s.h.shipping.underWay, []*Shipment{second}) || second.GivenUp() != nil {
		t.Error("the report of the first touched the second")
	}
}

func TestWhatNobodyNeedsIsNotSent(t *testing.T) {
	t.Parallel()
	s := newShipper(t, 3, SnapshotLimits{Out: 1})
	s.add(0, 10, 3, false)
	ship := s.only()
	s.add(1, 11, 3, false)
	s.add(2, 12, 3, false)
	s.h.destroy(s.h.groups.of[1]) // its replica goes while it waits
	g := s.h.groups.of[2]         // its follower gets what it needs from elsewhere
	s.hear(g, 12, &pb.Message{Type: pb.MsgAppResp.Enum(), Index: new(g.applied.Index)})
	s.step()
	s.report(ship, nil)
	s.ticks(2 * lookTicks)
	if len(s.sent) != 0 || len(s.h.shipping.waiting) != 0 {
		t.Errorf("%d were sent, %d wait", len(s.sent), len(s.h.shipping.waiting))
	}
}

// The verdict says that a snapshot is staged. When the follower's own word is lost it is probed,
// and is not sent another at once.
func TestALostAcknowledgementOfASnapshot(t *testing.T) {
	t.Parallel()
	s := newShipper(t, 1, SnapshotLimits{Pause: 10 * DefaultTick})
	s.add(0, 7, 3, false)
	s.report(s.only(), nil)
	s.ticks(landingTicks - lookTicks)
	f := &laggard{g: s.h.groups.of[0], id: 7}
	if got := f.progress().State; got != tracker.StateSnapshot || len(s.sent) != 0 {
		t.Fatalf("the follower is in %v before it had time to install", got)
	}
	s.ticks(3 * lookTicks)
	if got := f.progress().State; got != tracker.StateProbe || len(s.sent) != 0 {
		t.Errorf("the follower is in %v and was sent %d more, want a probe", got, len(s.sent))
	}
}

// While a snapshot is on its way, and until its receiver has caught up, the log behind it is
// kept; for one that waits, or cannot be sent any, it is not.
func TestTheLogIsKeptForSnapshotsThatAreOnTheirWay(t *testing.T) {
	t.Parallel()
	s := &shipper{solo: newSolo(t, 1, Limits{LeastLogBytes: 2000, MostLogBytes: 2000,
		Snapshots: SnapshotLimits{Pause: time.Hour}})}
	g := s.h.groups.of[0]
	s.add(0, 7, 3, false)
	ship := s.only()
	fill := func(entries int) {
		for range entries {
			s.write(0, kv.Command{
				Op: kv.OpPut, Key: []byte("k"), Value: kv.Value{Kind: kv.Binary, Data: make([]byte, 100)},
			})
			s.step()
			s.step()
		}
		s.ticks(2 * truncateTicks)
	}
	from := g.applied.Index
	fill(100)
	if first, _ := g.store.FirstIndex(); first > from+1 {
		t.Fatalf("the log begins at %d, and a snapshot of index %d is on its way", first, from)
	}
	fill(400) // more than sixteen times the limit, and a snapshot of next to nothing
	if got := g.store.LogBytes(); got > 2*2000 {
		t.Errorf("%d bytes of log are kept for a small snapshot", got)
	}
	from = g.applied.Index
	g.h.shipping.of(g, 7).index = from
	ship.Move(200_000)
	fill(500)
	if first, _ := g.store.FirstIndex(); first > from+1 {
		t.Errorf("the log behind index %d is cut at %d, though it is smaller than what was sent", from, first)
	}
	s.report(ship, nil)
	s.hear(g, 7, &pb.Message{Type: pb.MsgAppResp.Enum(), Index: new(from)})
	fill(200) // the receiver has the snapshot, and little of what was logged since
	if first, _ := g.store.FirstIndex(); first > from+1 {
		t.Errorf("the log is cut at %d, and the receiver of the snapshot has come to %d", first, from)
	}
	s.ticks(int(s.h.inTicks(s.h.cfg.Limits.Snapshots.Window)) + 3*lookTicks) // and takes no more
	fill(1)
	if got := g.store.LogBytes(); got > 2*2000 {
		t.Errorf("%d bytes of log are kept for a follower that does not catch up", got)
	}
}

// However short the log is, it is kept for the receiver of a snapshot until that has nearly all of it.
func TestTheLogIsKeptUntilTheReceiverHasCaughtUp(t *testing.T) {
	t.Parallel()
	const limit = 2000
	s := &shipper{solo: newSolo(t, 1, Limits{LeastLogBytes: limit, MostLogBytes: limit})}
	g := s.h.groups.of[0]
	s.add(0, 7, 3, false)
	fill := func(upTo int64) {
		for g.store.LogBytes() < upTo {
			s.write(0, kv.Command{
				Op: kv.OpPut, Key: []byte("k"), Value: kv.Value{Kind: kv.Binary, Data: make([]byte, 100)},
			})
			s.step()
			s.step()
		}
	}
	from := g.applied.Index
	fill(3 * limit)
	s.report(s.only(), nil)
	s.hear(g, 7, &pb.Message{Type: pb.MsgAppResp.Enum(), Index: new(from)})
	s.ticks(3 * lookTicks)
	fill(6 * limit)
	s.ticks(2 * truncateTicks)
	if first, _ := g.store.FirstIndex(); first > from+1 {
		t.Fatalf("the log is cut at %d, and the receiver of the snapshot has come to %d", first, from)
	}
	last, _ := g.store.LastIndex()
	s.hear(g, 7, &pb.Message{Type: pb.MsgAppResp.Enum(), Index: new(last)})
	s.ticks(3*lookTicks + truncateTicks)
	if got := g.store.LogBytes(); g.h.shipping.of(g, 7) != nil || got > 2*limit {
		t.Errorf("the receiver has caught up, and %d bytes of log are kept for it", got)
	}
}

// What is kept for one receiver does not count against the next one.
func TestTheLogIsKeptForEachReceiverByItself(t *testing.T) {
	t.Parallel()
	const limit = 2000
	s := &shipper{solo: newSolo(t, 1, Limits{LeastLogBytes: limit, MostLogBytes: limit})}
	g := s.h.groups.of[0]
	fill := func(entries int) {
		for range entries {
			s.write(0, kv.Command{
				Op: kv.OpPut, Key: []byte("k"), Value: kv.Value{Kind: kv.Binary, Data: make([]byte, 100)},
			})
			s.step()
			s.step()
		}
	}
	s.add(0, 7, 3, false)
	first := s.only()
	first.Move(1 << 20)
	s.ticks(lookTicks)
	fill(400) // more than sixteen times the limit
	s.report(first, nil)
	s.add(0, 8, 4, false)
	s.only()
	from := g.h.shipping.of(g, 8).index
	fill(20)
	last, _ := g.store.LastIndex()
	s.hear(g, 7, &pb.Message{Type: pb.MsgAppResp.Enum(), Index: new(last)})
	s.ticks(2 * truncateTicks)
	if begin, _ := g.store.FirstIndex(); begin > from+1 {
		t.Errorf("the log begins at %d, and a snapshot of index %d is on its way", begin, from)
	}
}

// Who moves leaderships hears of a follower that would have to be filled anew by the next leader.
func TestWhoIsBeingFilledIsTold(t *testing.T) {
	t.Parallel()
	s := newShipper(t, 1, SnapshotLimits{Pause: time.Hour})
	g := s.h.groups.of[0]
	fed := func(when string, want bool) {
		t.Helper()
		if progress, _ := s.h.Progress(0); progress[7].Fed != want {
			t.Errorf("%s: is filled: %v", when, progress[7].Fed)
		}
	}
	s.add(0, 7, 3, false)
	fed("while its snapshot is under way", true)
	s.report(s.only(), nil)
	fed("when that has landed", true)
	s.hear(g, 7, &pb.Message{Type: pb.MsgAppResp.Enum(), Index: new(g.applied.Index)})
	s.ticks(3 * lookTicks)
	fed("when it has caught up", false)
	s.add(0, 8, 4, false)
	s.report(s.only(), errors.New("lost"))
	if progress, _ := s.h.Progress(0); progress[8].Fed {
		t.Error("its snapshot has failed, and it is told as one that is being filled")
	}
}

func TestNoLogIsKeptForWhomNothingCanBeSent(t *testing.T) {
	t.Parallel()
	s := &shipper{solo: newSolo(t, 1, Limits{LeastLogBytes: 2000, MostLogBytes: 2000,
		Snapshots: SnapshotLimits{Pause: time.Hour}})}
	g := s.h.groups.of[0]
	s.add(0, 7, 3, false)
	s.report(s.only(), kv.NoRoom)
	for range 300 {
		s.write(0, kv.Command{
			Op: kv.OpPut, Key: []byte("k"), Value: kv.Value{Kind: kv.Binary, Data: make([]byte, 100)},
		})
		s.step()
		s.step()
	}
	s.ticks(2 * truncateTicks)
	if got := g.store.LogBytes(); got > 2*2000 {
		t.Errorf("%d bytes of log are kept for a follower that cannot be sent a snapshot", got)
	}
}

func TestPlacesOfArrivingSnapshots(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 5, Limits{Snapshots: SnapshotLimits{In: 2}})
	admit := func(p int, term uint64, urgent bool) (func(), error) {
		return s.h.Admit(SnapshotRequest{
			Partition: kv.PartitionID(p), To: kv.ReplicaID(100 + p), Term: term, Urgent: urgent,
		})
	}
	refused := func(what string, err error, want kv.Refusal) {
		t.Helper()
		if got, _ := errors.AsType[kv.Refusal](err); got != want {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	_, err := s.h.Admit(SnapshotRequest{Partition: 0, To: 7})
	refused("a replica that is not here", err, kv.NotWanted)
	first, err := admit(0, 1, false)
	refused("a learner", err, 0)
	_, err = admit(1, 1, false)
	refused("a second learner of two places", err, kv.Busy)
	_, err = admit(0, 1, true)
	refused("a second snapshot for the same replica", err, kv.Busy)
	second, err := admit(0, 2, true)
	refused("one from a later leader for the same replica", err, 0)
	_, err = admit(2, 1, true)
	refused("a third of two", err, kv.Busy)
	second()
	second() // gives back one place only
	third, err := admit(2, 1, true)
	refused("after one has ended", err, 0)
	_, err = admit(3, 1, true)
	refused("a third of two", err, kv.Busy)
	first()
	third()
	if n := s.h.arrivals.count(); n != 0 {
		t.Errorf("%d places are taken at the end", n)
	}
}
