package rebalance

import (
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/node/machine"
	"pxkv/node/meta"
	"pxkv/node/replica"
	"pxkv/persist"
)

// life plays what a node sees of another: for each period it speaks or is silent, in ticks.
func (s *sight) life(now uint64, l *Limits, speaks bool, ticks uint64) uint64 {
	for end := now + ticks; now < end; now++ {
		heard := s.heard
		if speaks {
			heard = now
		}
		s.see(now, heard, true, l)
	}
	return now
}

func TestANodeThatFallsWaitsTwiceAsLongEachTime(t *testing.T) {
	t.Parallel()
	l := Limits{SteadyTicks: 28, MostSteadyTicks: 300}.withDefaults()
	s := &sight{heard: 100}
	now := s.life(100, &l, true, 50)
	if s.unsteady(now, &l) {
		t.Fatal("unsteady before it fell")
	}
	for _, want := range []uint64{28, 56, 112, 224, 300, 300} {
		now = s.life(now, &l, false, 20)
		if !s.unsteady(now, &l) {
			t.Fatal("steady while it is silent")
		}
		back := now
		for ; s.unsteady(now, &l); now++ {
			s.see(now, now, true, &l)
		}
		if waited := now - back; waited < want || waited > want+2 {
			t.Fatalf("led to %d ticks after it came back, want %d", waited, want)
		}
	}
}

// One that falls just before it would have been steady for long enough is not led to while nobody
// knows yet that it fell.
func TestANodeGainsNothingByItsSilence(t *testing.T) {
	t.Parallel()
	l := Limits{}.withDefaults()
	s := &sight{heard: 1}
	now := s.life(1, &l, true, 20)
	now = s.life(now, &l, false, 20)
	now = s.life(now, &l, true, l.SteadyTicks-4)
	for range l.FallTicks + 20 {
		if now = s.life(now, &l, false, 1); !s.unsteady(now, &l) {
			t.Fatalf("led to at tick %d, last heard at %d", now, s.heard)
		}
	}
}

func TestFallsAreForgivenOneByOne(t *testing.T) {
	t.Parallel()
	l := Limits{ForgiveTicks: 500}.withDefaults()
	s := &sight{heard: 1}
	now := uint64(1)
	for range 5 {
		now = s.life(now, &l, true, 20)
		now = s.life(now, &l, false, 20)
	}
	for want := 4; want >= 0; want-- {
		if now = s.life(now, &l, true, 501); s.falls != want {
			t.Fatalf("%d falls are left, want %d", s.falls, want)
		}
	}
}

// One that is stopped for most of each second is never led to.
func TestANodeThatStopsAgainAndAgainIsNeverSteady(t *testing.T) {
	t.Parallel()
	l := Limits{}.withDefaults()
	s := &sight{heard: 1}
	now := uint64(1)
	for range 500 {
		now = s.life(now, &l, false, 13)
		now = s.life(now, &l, true, 4)
		if !s.unsteady(now, &l) {
			t.Fatalf("steady at tick %d", now)
		}
	}
}

func TestSilenceCountsOnlyWhereANodeShouldSpeak(t *testing.T) {
	t.Parallel()
	l := Limits{}.withDefaults()
	s := &sight{heard: 1}
	now := uint64(1)
	for ; now < 1000; now++ {
		s.see(now, 1, false, &l)
	}
	if s.falls != 0 || s.down {
		t.Fatalf("%+v", s)
	}
	if s.see(now+l.FallTicks, 1, true, &l); s.falls != 1 || !s.down {
		t.Fatalf("%+v", s)
	}
}

// A replica that is heard and does not keep up, again and again, is no better than a silent one.
func TestLagIsAFall(t *testing.T) {
	t.Parallel()
	l := Limits{}.withDefaults()
	s := &sight{heard: 1}
	now := s.life(1, &l, true, 100)
	s.lag(now, &l)
	s.lag(now+2, &l)
	s.see(now+2, now+2, true, &l)
	if s.falls != 1 || !s.unsteady(now+2, &l) {
		t.Fatalf("%+v", s)
	}
	now = s.life(now+3, &l, true, l.SteadyTicks)
	if s.unsteady(now, &l) {
		t.Fatalf("%+v", s)
	}
	if s.lag(now, &l); s.falls != 2 {
		t.Fatalf("%+v", s)
	}
}

func TestTheLongestWaitIsBounded(t *testing.T) {
	t.Parallel()
	l := Limits{}.withDefaults()
	s := &sight{}
	for range 100 {
		s.fall()
	}
	if s.wait(&l) != l.MostSteadyTicks || s.falls != mostFalls {
		t.Fatalf("%+v waits %d", s, s.wait(&l))
	}
}

// A node alone hears nobody, itself included, and that is nobody's fall. A member that it should
// hear and does not is one.
func TestANodeIsNoFallOfItsOwn(t *testing.T) {
	t.Parallel()
	db, err := persist.Open(persist.Options{Dir: "data", FS: vfs.NewMem(), Light: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	s := meta.Bootstrap(1, "test", 1, 3, meta.Member{ID: 7, Name: "n7"})
	cluster := meta.NewMachine(db.Store, 7)
	known := new(s) // as a state machine does it: what was told stays as it is
	e := &Executor{State: func() *meta.State { return known }}
	h, err := replica.NewHost(replica.Config{
		Node: 7, DB: db, Policy: cluster, Fresh: true, OnTick: e.Tick,
		Machine: func(kv.PartitionID) replica.StateMachine { return &machine.KV{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.Bootstrap(0, s.Placement[0][0].ID, nil), h.CommitNow()); err != nil {
		t.Fatal(err)
	}
	now := replica.Now{Boot: time.Hour, WallMS: 1}
	var in replica.Input
	ticks := func(n int) {
		for range n {
			now.Boot += replica.DefaultTick
			in.Tick = true
			if _, err := h.Turn(now, &in); err != nil {
				t.Fatal(err)
			}
			in = replica.Input{}
			if j := h.TakeJob(); j != nil {
				if err := j.Commit(); err != nil {
					t.Fatal(err)
				}
				in.Finished = append(in.Finished, j)
			}
		}
	}
	ticks(60)
	if h.Stats().Leaders.Load() != 1 {
		t.Fatal("it does not lead its partition")
	}
	if len(e.sights.nodes) != 0 || e.sights.self.falls != 0 {
		t.Fatalf("alone it has seen %v, and %d falls of its own", e.sights.nodes, e.sights.self.falls)
	}
	s.Members = append(s.Members, meta.Member{ID: 8, Name: "n8", State: kv.Active})
	known = new(s)
	ticks(60)
	if n := e.sights.nodes[8]; n == nil || n.falls != 0 {
		t.Fatalf("a member that shares no group: %+v", n)
	}
	s.Placement[0] = append(s.Placement[0], kv.Replica{ID: 99, Node: 8})
	s.NextReplica = 100
	known = new(s)
	ticks(60)
	if n := e.sights.nodes[8]; n.falls != 1 || !e.sights.silent(8, &e.limits) {
		t.Fatalf("a member that learns here and never answers: %+v", n)
	}
}
