package autopilot

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pxkv/node/health"
	"pxkv/node/kv"
	"pxkv/node/meta"
)

// facts are those of a cluster of so many members, n1 to nN, which are all well: two partitions of three replicas on
// n1 to n3.
func facts(t *testing.T, members int) *Facts {
	t.Helper()
	first := meta.Member{ID: 1, Name: "n1", Starts: 1, Incarnation: 1}
	s := meta.Bootstrap(7, "test", 2, 3, first)
	f := &Facts{State: &s, NowMS: 99, Lately: time.Second, Selves: map[kv.NodeID]Self{}}
	for i := 2; i <= members; i++ {
		f.apply(t, meta.Join{Member: meta.Member{
			ID: kv.NodeID(i), Name: fmt.Sprintf("n%d", i), Starts: 1, Incarnation: 1,
		}})
	}
	if members >= 3 {
		f.apply(t, f.State.NewPlace([][]kv.NodeID{{1, 2, 3}, {3, 2, 1}}))
	}
	f.Silence = func(kv.NodeID) time.Duration { return 0 }
	for _, m := range f.State.Members {
		f.Selves[m.ID] = Self{Version: meta.NewestVersion, Starts: 1, Epoch: f.State.Epoch, Room: -1}
	}
	f.asPlaced()
	return f
}

// apply brings the state forward, by a command that must not be refused.
func (f *Facts) apply(t *testing.T, c interface{ Encode() []byte }) {
	t.Helper()
	next, b, err := f.State.Apply(c.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if r, err := meta.DecodeResult(b); err != nil || r.Refused != nil {
		t.Fatalf("%+v: %v, %v", c, r.Refused, err)
	}
	f.State = next
}

// asPlaced makes the reports those of groups that are as they are wanted, by leaders that know that.
func (f *Facts) asPlaced() {
	f.Reports = map[kv.PartitionID]health.Report{}
	report := func(p kv.PartitionID, voters []kv.Replica) {
		r := health.Report{Partition: p, Epoch: f.State.Epoch}
		for _, v := range voters {
			r.Replicas = append(r.Replicas, health.Replica{
				ID: v.ID, Node: v.Node, Voter: true, Answers: true, Caught: true,
			})
		}
		f.Reports[p] = r
	}
	for p, row := range f.State.Placement {
		report(kv.PartitionID(p), row)
	}
	voters, _ := f.State.MetaReplicas()
	report(kv.Meta, voters)
	for id, self := range f.Selves {
		self.Epoch = f.State.Epoch
		f.Selves[id] = self
	}
}

func (f *Facts) member(t *testing.T, name string) meta.Member {
	t.Helper()
	m, ok := f.State.MemberByName(name)
	if !ok {
		t.Fatalf("no member %s", name)
	}
	return m
}

// one is the only step that is decided.
func one(t *testing.T, f *Facts) Step {
	t.Helper()
	steps := Decide(f, AllLeft(f))
	if len(steps) != 1 {
		t.Fatalf("decided %+v, want one step", steps)
	}
	return steps[0]
}

func none(t *testing.T, f *Facts) {
	t.Helper()
	if steps := Decide(f, AllLeft(f)); len(steps) > 0 {
		t.Fatalf("decided %+v", steps)
	}
}

func TestAClusterIsUpgradedWhenAllUnderstandIt(t *testing.T) {
	t.Parallel()
	f := facts(t, 3)
	none(t, f)
	old := *f.State
	old.ClusterVersion, old.Version, old.PlacedReplicas = 1, 1, 0
	f.State = &old
	if s := one(t, f); s.Command != (meta.Upgrade{From: 1, To: 2}) {
		t.Fatalf("decided %+v", s)
	}
	for name, change := range map[string]func(*Self){
		"an older release":   func(s *Self) { s.Version = 1 },
		"what it was before": func(s *Self) { s.Starts = 0 },
	} {
		self := f.Selves[2]
		changed := self
		change(&changed)
		f.Selves[2] = changed
		if steps := Decide(f, AllLeft(f)); len(steps) > 0 {
			t.Errorf("%s: decided %+v", name, steps)
		}
		f.Selves[2] = self
	}
	delete(f.Selves, 2)
	none(t, f)
	f.Silence = func(id kv.NodeID) time.Duration {
		if id == 2 {
			return upgradePatience
		}
		return 0
	}
	if s := one(t, f); s.Command != (meta.Upgrade{From: 1, To: 2}) {
		t.Fatalf("decided %+v", s)
	}
}

func TestWhatMembersSayIsRecorded(t *testing.T) {
	t.Parallel()
	f := facts(t, 3)
	self := f.Selves[2]
	self.Zone = "east"
	f.Selves[2] = self
	if s := one(t, f); s.Command != (meta.Describe{ID: 2, Starts: 1, Zone: "east"}) || s.Node != 2 {
		t.Fatalf("decided %+v", s)
	}
	self.Starts = 2 // of a process that the cluster does not know yet
	f.Selves[2] = self
	none(t, f)
}

func TestALeaverIsRemovedWhenNothingIsLeftOfIt(t *testing.T) {
	t.Parallel()
	ready := func() *Facts {
		f := facts(t, 4)
		f.apply(t, meta.SetState{ID: 3, From: kv.Active, To: kv.Leaving, Cause: kv.CauseLeft})
		f.apply(t, f.State.NewPlace([][]kv.NodeID{{1, 2, 4}, {4, 2, 1}}))
		f.asPlaced()
		return f
	}
	f := ready()
	if s := one(t, f); s.Command != (meta.Remove{ID: 3, Expect: f.State.Epoch, AtMS: 99}) {
		t.Fatalf("decided %+v", s)
	}
	for name, test := range map[string]struct {
		change func(*Facts)
		waits  string
	}{
		"a partition has a replica on it": {func(f *Facts) {
			r := f.Reports[1]
			r.Replicas = append(r.Replicas, health.Replica{ID: 5, Node: 3})
			r.Waits = "something"
			f.Reports[1] = r
		}, "something"},
		"a partition counts it": {func(f *Facts) {
			r := f.Reports[1]
			r.Replicas = append(r.Replicas, health.Replica{ID: 5, Node: 3, Leaving: true})
			f.Reports[1] = r
		}, "about to move"},
		"a leader that is behind": {func(f *Facts) {
			r := f.Reports[0]
			r.Epoch--
			f.Reports[0] = r
		}, "knows epoch 2"},
		"no leader": {func(f *Facts) { delete(f.Reports, 1) }, "no leader of it reports"},
		"a vote in the meta group": {func(f *Facts) {
			r := f.Reports[kv.Meta]
			r.Replicas = append(r.Replicas, health.Replica{ID: 9, Node: 3, Voter: true})
			f.Reports[kv.Meta] = r
		}, "still votes"},
		"it is behind": {func(f *Facts) {
			f.Selves[3] = Self{Starts: 1, Epoch: f.State.Epoch - 1}
		}, "it knows epoch 2"},
		"it has something": {func(f *Facts) {
			f.Selves[3] = Self{Starts: 1, Epoch: f.State.Epoch, Hosts: 2}
		}, "still has 2 replicas"},
		"it says nothing": {func(f *Facts) { delete(f.Selves, 3) }, "does not say"},
		"another process of it": {func(f *Facts) {
			f.Selves[3] = Self{Starts: 2, Epoch: f.State.Epoch}
		}, "started again"},
		"nobody has planned": {func(f *Facts) {
			f.apply(t, meta.SetState{ID: 4, From: kv.Active, To: kv.Down, Cause: kv.CauseRemoved, Replicas: 2})
			delete(f.Selves, 4)
			f.Silence = func(id kv.NodeID) time.Duration {
				if id == 4 {
					return time.Hour
				}
				return 0
			}
		}, "nobody has said yet what moves"},
	} {
		f := ready()
		test.change(f)
		if steps := Decide(f, AllLeft(f)); len(steps) > 0 {
			t.Errorf("%s: decided %+v", name, steps)
		}
		left := Left(f, 3)
		if text := fmt.Sprintf("%+v", left); !strings.Contains(text, test.waits) {
			t.Errorf("%s: it waits for %s, want %q", name, text, test.waits)
		}
	}
	// One that is dead can say nothing, and need not.
	f = ready()
	delete(f.Selves, 3)
	f.Silence = func(kv.NodeID) time.Duration { return time.Hour }
	if s := one(t, f); s.Node != 3 {
		t.Fatalf("decided %+v", s)
	}
}

func TestWhoIsHeardAgainIsTakenBack(t *testing.T) {
	t.Parallel()
	f := facts(t, 4)
	silence := time.Hour
	f.Silence = func(kv.NodeID) time.Duration { return silence }
	f.Lost = 4
	gaveUp := one(t, f)
	if gaveUp.Command != (meta.SetState{ID: 4, From: kv.Active, To: kv.Down, AtMS: 99, Cause: kv.CauseLost}) {
		t.Fatalf("decided %+v", gaveUp)
	}
	f.apply(t, gaveUp.Command)
	f.Lost = 0
	delete(f.Selves, 4)
	none(t, f) // nobody has planned yet
	back := meta.SetState{ID: 4, From: kv.Down, To: kv.Active}
	f.Selves[4] = Self{Starts: 1} // by way of another member, while nothing comes from it directly
	if s := one(t, f); s.Command != back {
		t.Fatalf("decided %+v", s)
	}
	delete(f.Selves, 4)
	silence = 0
	if s := one(t, f); s.Command != back {
		t.Fatalf("decided %+v", s)
	}
}

func TestWhoIsACandidate(t *testing.T) {
	t.Parallel()
	const after = time.Minute
	f := facts(t, 5)
	silent := func(ids ...kv.NodeID) func(kv.NodeID) time.Duration {
		return func(id kv.NodeID) time.Duration {
			if slices.Contains(ids, id) {
				return after
			}
			return 0
		}
	}
	if id, why := Candidate(f.State, silent(4), after); id != 4 || why != "" {
		t.Errorf("got %v, %q", id, why)
	}
	for name, got := range map[string]func() (kv.NodeID, string){
		"nobody is silent": func() (kv.NodeID, string) { return Candidate(f.State, silent(), after) },
		"never":            func() (kv.NodeID, string) { return Candidate(f.State, silent(4), 0) },
		"not yet":          func() (kv.NodeID, string) { return Candidate(f.State, silent(4), after+1) },
	} {
		if id, why := got(); id != 0 || why != "" {
			t.Errorf("%s: got %v, %q", name, id, why)
		}
	}
	f.apply(t, meta.SetState{ID: 5, From: kv.Active, To: kv.Down, Cause: kv.CauseLost})
	if id, why := Candidate(f.State, silent(4), after); id != 0 || !strings.Contains(why, "n5") {
		t.Errorf("two at one time: %v, %q", id, why)
	}
	f.apply(t, meta.SetState{ID: 5, From: kv.Down, To: kv.Active})
	if id, _ := Candidate(f.State, silent(5), after); id != 0 {
		t.Error("who came back once is waited for no longer than others")
	}
	if id, _ := Candidate(f.State, func(kv.NodeID) time.Duration { return 2 * after }, after); id != 1 {
		t.Errorf("all are silent: %v", id)
	}
	f.apply(t, meta.SetState{ID: 5, From: kv.Active, To: kv.Leaving, Cause: kv.CauseLeft})
	if id, _ := Candidate(f.State, silent(4), after); id != 4 {
		t.Error("who leaves keeps a dead member in")
	}
	f.apply(t, meta.SetState{ID: 4, From: kv.Active, To: kv.Leaving, Cause: kv.CauseLeft})
	if id, why := Candidate(f.State, silent(3), after); id != 0 || !strings.Contains(why, "fewer members") {
		t.Errorf("too few would be left: %v, %q", id, why)
	}
	if p := Patience(&meta.Member{Returns: 99}, after); p != 16*after {
		t.Errorf("patience is %v", p)
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	leave := Wish{Kind: Leave, Name: "n3"}
	of := func(replicas int) Wish { return Wish{Kind: Leave, Name: "n3", Replicas: replicas} }
	remove := Wish{Kind: Remove, Name: "n3"}
	leaving := func(f *Facts) {
		f.apply(t, meta.SetState{ID: 3, From: kv.Active, To: kv.Leaving, Cause: kv.CauseLeft})
	}
	for name, test := range map[string]struct {
		members int
		wish    Wish
		change  func(*Facts)
		alive   string
		want    string // empty: nothing is refused
	}{
		"a leave":             {members: 4, wish: leave},
		"fewer than replicas": {members: 3, wish: leave, want: "--replicas-after 2"},
		"more wanted than there are": {members: 4, wish: leave, change: func(f *Facts) {
			f.apply(t, meta.SetReplicas{From: 3, To: 7})
		}, want: "3 members would remain, fewer than the 7 replicas that are wanted of each partition"},
		"fewer replicas":      {members: 3, wish: of(2)},
		"more than remain":    {members: 3, wish: of(3), want: "2 members remain"},
		"more than there are": {members: 5, wish: of(4), want: "4 replicas"},
		"negative":            {members: 5, wish: of(-1), want: "-1 replicas"},
		"the last":            {members: 1, wish: Wish{Kind: Leave, Name: "n1"}, want: "last active member"},
		"an old plan":         {members: 4, wish: Wish{Kind: Leave, Name: "n3", Epoch: 1}, want: "the plan again"},
		"an old plan of what cannot be": {members: 3, wish: Wish{Kind: Leave, Name: "n3", Epoch: 1},
			want: "look at the plan again; 2 members would remain"},
		"the present plan":        {members: 4, wish: Wish{Kind: Leave, Name: "n3", Epoch: 2}},
		"one that does not leave": {members: 4, wish: Wish{Kind: Stay, Name: "n3"}},
		"a dead one":              {members: 4, wish: remove},
		"one that is alive":       {members: 4, wish: remove, alive: "it is alive", want: "it is alive"},
		"another one is silent": {members: 4, wish: leave, change: func(f *Facts) {
			delete(f.Selves, 2)
		}, want: "n2 does not answer"},
		"something is not served": {members: 4, wish: leave, change: func(f *Facts) {
			delete(f.Reports, 1)
		}, want: "partition 1"},
		"a full disk": {members: 4, wish: leave, change: func(f *Facts) {
			f.Selves[1] = Self{Bytes: map[kv.PartitionID]int64{0: 100, 1: 100}, Room: -1}
			f.Selves[4] = Self{Room: 99}
		}, want: "no room"},
		"one that leaves already": {members: 4, wish: leave, change: leaving},
		"the same once more":      {members: 4, wish: of(3), change: leaving},
		"fewer, when it leaves":   {members: 4, wish: of(2), change: leaving, want: "n3 is leaving already, with 3"},
		"an older cluster": {members: 4, wish: leave, change: func(f *Facts) {
			s := *f.State
			s.ClusterVersion = 1
			f.State = &s
		}, want: "older release"},
	} {
		f := facts(t, test.members)
		if test.change != nil {
			test.change(f)
		}
		got := strings.Join(test.wish.Refuse(f, f.member(t, test.wish.Name), test.alive), "; ")
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: refused by %q, want %q", name, got, test.want)
		}
	}
}

func TestWhatIsSoAlreadyIsNoCommand(t *testing.T) {
	t.Parallel()
	f := facts(t, 4)
	m := f.member(t, "n3")
	if c := (Wish{Kind: Stay, Name: "n3"}).Command(f.State, m, 9); c != nil {
		t.Errorf("got %+v", c)
	}
	c := (Wish{Kind: Leave, Name: "n3", Replicas: 2}).Command(f.State, m, 9)
	if c == nil || *c != (meta.SetState{
		ID: 3, From: kv.Active, To: kv.Leaving, AtMS: 9, Cause: kv.CauseLeft, Replicas: 2,
	}) {
		t.Errorf("got %+v", c)
	}
	if _, err := (Wish{Name: "n9"}).Find(f.State); err == nil || !strings.Contains(err.Error(), "no member is named") {
		t.Errorf("got %v", err)
	}
	f.apply(t, meta.SetState{ID: 4, From: kv.Active, To: kv.Down, Cause: kv.CauseLost})
	f.apply(t, meta.Remove{ID: 4, Expect: f.State.Epoch})
	if _, err := (Wish{Name: "n4"}).Find(f.State); err == nil || !strings.Contains(err.Error(), "silent for too long") {
		t.Errorf("got %v", err)
	}
}

func TestWhatAChangeMoves(t *testing.T) {
	t.Parallel()
	f := facts(t, 4)
	f.Selves[1] = Self{Bytes: map[kv.PartitionID]int64{0: 100, 1: 50}, Room: -1}
	moves := Moves(f, []kv.NodeID{1, 2, 4}, 3)
	if len(moves) != 2 || !slices.Equal(moves[0].From, []kv.NodeID{3}) || !slices.Equal(moves[0].To, []kv.NodeID{4}) ||
		moves[0].Bytes != 100 {
		t.Fatalf("moves are %+v", moves)
	}
	if in := Arriving(moves); len(in) != 1 || in[4] != 150 {
		t.Errorf("what arrives is %v", in)
	}
	if at := AtRisk(f, moves, 3); len(at) != 0 {
		t.Errorf("at risk are %v", at)
	}
	r := f.Reports[1]
	r.Replicas[0].Answers = false
	if at := AtRisk(f, moves, 3); !slices.Equal(at, []kv.PartitionID{1}) {
		t.Errorf("at risk are %v", at)
	}
	if at := AtRisk(f, moves, 2); len(at) != 2 {
		t.Errorf("at risk with two replicas are %v", at)
	}
	if moves := Moves(f, nil, 3); len(moves) != 2 {
		t.Errorf("without members: %+v", moves)
	}
}

// What is made anew is not there at first: two replicas of three are left, whether their node is dead yet or not.
func TestWhatIsMadeAnewIsAtRisk(t *testing.T) {
	t.Parallel()
	f := facts(t, 4)
	moves := MovesAnew(f, 3)
	if at := AtRisk(f, moves, 3); len(at) != 2 {
		t.Errorf("at risk are %v of %+v", at, moves)
	}
	for p, r := range f.Reports {
		for i := range r.Replicas {
			if !r.Replicas[i].Answers {
				t.Errorf("partition %s was changed", p)
			}
		}
	}
}

// A member that leaves is placed nowhere any more, and still has replicas.
func TestWhatIsLeftOfADepartureMoves(t *testing.T) {
	t.Parallel()
	f := facts(t, 4)
	f.apply(t, meta.SetState{ID: 3, From: kv.Active, To: kv.Leaving, Cause: kv.CauseLeft})
	f.apply(t, f.State.NewPlace([][]kv.NodeID{{1, 2, 4}, {4, 2, 1}}))
	former := f.Reports[0]
	f.asPlaced()
	f.Reports[0] = former // the other one has moved
	f.Selves[1] = Self{Bytes: map[kv.PartitionID]int64{0: 100, 1: 50}, Room: -1}
	moves := MovesLeft(f, 3)
	if len(moves) != 1 || moves[0].Partition != 0 || !slices.Equal(moves[0].From, []kv.NodeID{3}) ||
		!slices.Equal(moves[0].To, []kv.NodeID{4}) || moves[0].Bytes != 100 {
		t.Errorf("moves are %+v", moves)
	}
}

func TestWhatNumberOfReplicasIsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		replicas int
		change   func(*Facts)
		want     string // empty: nothing is refused
	}{
		"fewer":                  {replicas: 2},
		"more":                   {replicas: 4},
		"more than members":      {replicas: 9},
		"none":                   {replicas: 0, want: "1 to 9"},
		"too many":               {replicas: 10, want: "1 to 9"},
		"as many, when one dies": {replicas: 3, change: func(f *Facts) { delete(f.Selves, 2) }},
		"one is silent": {replicas: 4, change: func(f *Facts) { delete(f.Selves, 2) },
			want: "n2 does not answer"},
		"something is not served": {replicas: 2, change: func(f *Facts) { delete(f.Reports, 1) }, want: "partition 1"},
		"one departs": {replicas: 2, change: func(f *Facts) {
			f.apply(t, meta.SetState{ID: 4, From: kv.Active, To: kv.Leaving, Cause: kv.CauseLeft})
		}, want: "n4 is leaving: wait until it has gone, or let it stay"},
		"one is being removed": {replicas: 2, change: func(f *Facts) {
			f.apply(t, meta.SetState{ID: 4, From: kv.Active, To: kv.Down, Cause: kv.CauseRemoved})
			delete(f.Selves, 4)
		}, want: "n4 is down: wait until it has gone, or start it again"},
		"a full disk": {replicas: 4, change: func(f *Facts) {
			f.Selves[1] = Self{Bytes: map[kv.PartitionID]int64{0: 100, 1: 100}, Room: -1}
			f.Selves[4] = Self{Room: 99}
		}, want: "the store of n4 has no room"},
		"an older cluster": {replicas: 2, change: func(f *Facts) {
			s := *f.State
			s.ClusterVersion = 1
			f.State = &s
		}, want: "older release"},
	} {
		f := facts(t, 4)
		if test.change != nil {
			test.change(f)
		}
		w := Wish{Kind: Replicas, Replicas: test.replicas}
		why := w.RefuseReplicas(f)
		got := strings.Join(why, "; ")
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) || len(why) > 1 {
			t.Errorf("%s: refused by %q, want %q alone", name, got, test.want)
		}
		if c := w.SetReplicas(f.State); (c == nil) != (test.replicas == 3) || c != nil && c.To != test.replicas {
			t.Errorf("%s: the command is %+v", name, c)
		}
	}
}
