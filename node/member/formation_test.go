package member

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/persist"
)

// at is the address of a numbered place.
func at(place int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(place)}), 7946)
}

// fresh is node 1, called n1, that expects three.
func fresh(expect int) *Formation {
	return NewFormation(FormationOptions{Self: 1, Name: "n1", Expect: expect, Starts: 1, Incarnation: 7})
}

// agreeing is what node n says that sees the same three.
func agreeing(n kv.NodeID) Words {
	return Words{Name: fmt.Sprintf("n%d", uint64(n)), Expect: 3, Sees: []kv.NodeID{1, 2, 3}, Number: 1 << 32}
}

func TestAClusterIsFormedByWhoNamesTheSameSet(t *testing.T) {
	t.Parallel()
	const now = time.Minute
	self := Place{Address: "n1", At: at(1), Node: 1}
	n2 := Place{Address: "n2", At: at(2), Node: 2, Expect: 3}
	n3 := Place{Address: "n3", At: at(3), Node: 3, Expect: 3}
	without := func(w Words, change func(*Words)) Words { change(&w); return w }
	for name, tc := range map[string]struct {
		places []Place
		says   []Words // of nodes 2, 3, and so on
		waits  string  // for what; "" when it proposes
	}{
		"all see the same":       {[]Place{self, n2, n3}, []Words{agreeing(2), agreeing(3)}, ""},
		"one of three addresses": {[]Place{n2}, []Words{agreeing(2), agreeing(3)}, ""},
		"nobody has looked":      {nil, []Words{agreeing(2), agreeing(3)}, "being asked"},
		"one is missing": {[]Place{self, n2}, []Words{agreeing(2)},
			"3 fresh nodes are expected (--bootstrap-expect), and 2 are here"},
		"one does not answer": {[]Place{
			self, n2, {Address: "n3", At: at(3), Fault: "timeout"},
		}, []Words{agreeing(2), agreeing(3)}, "it may be a cluster: n3 (10.0.0.3:7946): timeout"},
		"one is refused now": {[]Place{
			self, n2, n3, {Address: "n4", At: at(4), Refused: true},
		}, []Words{agreeing(2), agreeing(3)}, "nobody listens at n4"},
		"a name does not resolve": {[]Place{
			self, n2, n3, {Address: "n4", Fault: "no such host"},
		}, []Words{agreeing(2), agreeing(3)}, "it may be a cluster: n4: no such host"},
		"one of another name's": {[]Place{
			self, n2, n3, {Address: "n4", At: at(4), Node: 4, Foreign: "other"},
		}, []Words{agreeing(2), agreeing(3)}, ""},
		"one that only joins": {[]Place{
			self, n2, n3, {Address: "n4", At: at(4), Node: 4},
		}, []Words{agreeing(2), agreeing(3)}, ""},
		"an address of IPv6": {[]Place{
			self, n2, n3, {Address: "n3", At: netip.MustParseAddrPort("[fd00::3]:7946"), Refused: true},
		}, []Words{agreeing(2), agreeing(3)}, ""},
		"its peer port is closed": {[]Place{self, n2, n3}, []Words{agreeing(2)},
			"node 0000000000000003 answers at n3 (10.0.0.3:7946) of --join, and not at its --peer address"},
		"one sees fewer": {[]Place{self, n2, n3}, []Words{
			agreeing(2), without(agreeing(3), func(w *Words) { w.Sees, w.Why = nil, "its reason" }),
		}, "node n3 (0000000000000003) waits: its reason"},
		"one sees more": {[]Place{self, n2, n3}, []Words{
			agreeing(2), without(agreeing(3), func(w *Words) { w.Sees = append(w.Sees, 4) }),
		}, "does not see the same"},
		"a fourth that nobody sees": {[]Place{self, n2, n3}, []Words{agreeing(2), agreeing(3), agreeing(4)},
			"does not see the same"},
		"they expect different sizes": {[]Place{self, n2, n3}, []Words{
			agreeing(2), without(agreeing(3), func(w *Words) { w.Expect = 5 }),
		}, "expects 5 nodes and this one 3"},
		"two of one name": {[]Place{self, n2, n3}, []Words{
			agreeing(2), without(agreeing(3), func(w *Words) { w.Name = "n2" }),
		}, "both called \"n2\""},
		"its own address is another's": {[]Place{
			{Address: "n1", At: at(1), Node: 2, Expect: 3, Own: true}, n2, n3,
		}, []Words{agreeing(2), agreeing(3)},
			"node 0000000000000002 answers at n1 (10.0.0.1:7946), the address that this node advertises: give each " +
				"node an --advertise of its own"},
		"its own address is a foreign one's": {[]Place{
			{Address: "n1", At: at(1), Node: 4, Foreign: "other", Own: true}, n2, n3,
		}, []Words{agreeing(2), agreeing(3)}, "--advertise of its own"},
		"it runs on a copy": {[]Place{
			self, n2, n3, {Address: "n4", At: at(4), Node: 1, Incarnation: 8},
		}, []Words{agreeing(2), agreeing(3)},
			"another process of the id of this node answers at n4 (10.0.0.4:7946): the data directory of one of the " +
				"two is a copy"},
		"it finds itself by two names": {[]Place{
			self, n2, n3, {Address: "n1.example", At: at(1), Node: 1, Incarnation: 7},
		}, []Words{agreeing(2), agreeing(3)}, ""},
		"one has found a cluster": {[]Place{self, n2, n3}, []Words{
			agreeing(2), without(agreeing(3), func(w *Words) { w.Found = 7 }),
		}, "knows of cluster 0000000000000007"},
	} {
		f := fresh(3)
		if tc.places != nil {
			f.Looked(now, tc.places)
		}
		for i, w := range tc.says {
			f.Answered(now, kv.NodeID(i+2), w)
		}
		d, why := f.Decide(now)
		if d != Wait || tc.waits != "" && !strings.Contains(strings.Join(why, "; "), tc.waits) ||
			f.Words(now).Open != (tc.waits == "") {
			t.Errorf("%s: decides %v for %q, open %v", name, d, why, f.Words(now).Open)
		}
	}
}

// Nodes of a cluster of another name are nothing to wait for, but who waits tells of them.
func TestWhoWaitsTellsOfForeignClusters(t *testing.T) {
	t.Parallel()
	for _, expect := range []int{0, 3} {
		f := fresh(expect)
		self, other := Place{Address: "n1", At: at(1), Node: 1}, Place{
			Address: "n4", At: at(4), Node: 4, Foreign: "other",
		}
		const told = `a node of cluster "other" answers at n4 of --join: to join that one, give this node the same --cluster`
		f.Looked(time.Minute, []Place{self, other})
		d, why := f.Decide(time.Minute)
		if text := strings.Join(why, "; "); d != Wait || !strings.HasSuffix(text, told) {
			t.Errorf("expect %d: %v, %s", expect, d, text)
		}
		f.Looked(2*time.Minute, nil)
		if _, why := f.Decide(2 * time.Minute); strings.Contains(strings.Join(why, "; "), "other") {
			t.Errorf("expect %d: it is gone, and still told of: %q", expect, why)
		}
	}
}

// The one with the smallest name forms the cluster when all others have promised; nothing else makes it.
func TestTheFirstFormsTheClusterWhenAllHavePromised(t *testing.T) {
	t.Parallel()
	f := fresh(3)
	f.Looked(0, []Place{{Address: "n2", At: at(2), Node: 2, Expect: 3}, {Address: "n3", At: at(3), Node: 3, Expect: 3}})
	say := func(promised ...kv.NodeID) (Decision, string) {
		w := f.Words(0)
		for id := kv.NodeID(2); id <= 3; id++ {
			says := agreeing(id)
			if slices.Contains(promised, id) {
				says.Promise = persist.Promise{To: 1, Number: w.Number}
			}
			f.Answered(0, id, says)
		}
		d, why := f.Decide(0)
		return d, strings.Join(why, "; ")
	}
	if d, why := say(); d != Wait || !f.Words(0).Open {
		t.Fatalf("%v for %s, it says %+v", d, why, f.Words(0))
	}
	if d, why := say(3); d != Wait || !strings.Contains(why, "node n2 (0000000000000002) has not agreed") {
		t.Fatalf("%v for %s", d, why)
	}
	if d, _ := say(2, 3); d != Form {
		t.Fatalf("decides %v", d)
	}
	// From now on it is decided: nothing that comes takes it back, and its words say so.
	f.Found(7)
	if d, _ := f.Decide(time.Hour); d != Form || !f.Words(time.Hour).Open {
		t.Errorf("decides %v then, and says %+v", d, f.Words(time.Hour))
	}
	if f.Asked(time.Hour, 2, Words{
		Name: "a", Expect: 3, Number: 9 << 32, Open: true, Sees: []kv.NodeID{1, 2, 3},
	}); f.Promise().To != 0 {
		t.Errorf("it promises something then: %+v", f.Promise())
	}
}

// A promise binds until the one that it was given to says that its proposal is closed, over restarts of
// both, however messages are reordered.
func TestAPromiseBinds(t *testing.T) {
	t.Parallel()
	const now = time.Minute
	start := func(promise persist.Promise) *Formation {
		f := NewFormation(FormationOptions{Self: 3, Name: "n3", Expect: 3, Starts: 1, Promise: promise})
		f.Looked(now, []Place{{Address: "n3", At: at(3), Node: 3}})
		f.Answered(now, 1, agreeing(1))
		f.Answered(now, 2, agreeing(2))
		return f
	}
	proposal := func(by kv.NodeID, number uint64, open bool) Words {
		w := agreeing(by)
		w.Number, w.Open = number, open
		return w
	}
	f := start(persist.Promise{})
	if f.Asked(now, 2, proposal(2, 1<<32, true)); f.Promise().To != 0 {
		t.Error("it promises one that is not the first")
	}
	given := persist.Promise{To: 1, Number: 1<<32 + 5}
	if w := f.Asked(now, 1, proposal(1, given.Number, true)); w.Promise != given || f.Promise() != given {
		t.Fatalf("it says %+v", w)
	}
	f = start(given) // again
	for name, tc := range map[string]struct {
		from kv.NodeID
		w    Words
		want persist.Promise
	}{
		"an older proposal":    {1, proposal(1, 1<<32+4, true), given},
		"an older one, closed": {1, proposal(1, 1<<32+4, false), given},
		"the same again":       {1, proposal(1, given.Number, true), given},
		"of another":           {2, proposal(2, 2<<32, true), given},
	} {
		f.Asked(now, tc.from, tc.w)
		f.Answered(now, tc.from, tc.w)
		if f.Promise() != tc.want {
			t.Errorf("%s: %+v", name, f.Promise())
		}
	}
	if d, why := f.Decide(now); d != Wait || !strings.Contains(strings.Join(why, ""), "has promised node n1") {
		t.Errorf("%v for %q", d, why)
	}
	if f.Asked(now, 1, proposal(1, 1<<32+6, true)); f.Promise().Number != 1<<32+6 {
		t.Errorf("a newer proposal of the same: %+v", f.Promise())
	}
	f = start(given)
	if f.Answered(now, 1, proposal(1, 2<<32, false)); f.Promise().To != 0 {
		t.Errorf("that one has started again: %+v", f.Promise())
	}
	f = start(given)
	if f.Found(7); f.Promise() != given {
		t.Errorf("a cluster that was found: %+v", f.Promise())
	}
	if d, _ := f.Decide(now); d != Join {
		t.Errorf("and is not joined: %v", d)
	}
}

// What was heard or seen before a pause counts no more after it.
func TestOldKnowledgeDecidesNothing(t *testing.T) {
	t.Parallel()
	f := fresh(3)
	f.Looked(0, []Place{{Address: "n1", At: at(1), Node: 1}})
	f.Answered(0, 2, agreeing(2))
	f.Answered(0, 3, agreeing(3))
	if f.Decide(0); !f.Words(0).Open {
		t.Fatal("it does not propose")
	}
	for id := kv.NodeID(2); id <= 3; id++ {
		w := agreeing(id)
		w.Promise = persist.Promise{To: 1, Number: f.Words(0).Number}
		f.Answered(0, id, w)
	}
	if d, why := f.Decide(10 * time.Second); d != Wait || f.Words(10*time.Second).Open {
		t.Errorf("after a pause it decides %v: %q", d, why)
	}
	// A question may have waited in a socket as long: who asked is not heard by it.
	if f.Asked(10*time.Second, 2, agreeing(2)); len(f.Words(10*time.Second).Sees) > 0 {
		t.Error("a question counts as a conversation")
	}
}

// An address counts as empty only when it refused all the time in which it was looked at.
func TestNobodyIsThereOnlyAfterAWhile(t *testing.T) {
	t.Parallel()
	f := NewFormation(FormationOptions{Self: 1, Name: "n1", Expect: 1, Starts: 1, Sure: 2 * time.Second})
	now := time.Minute
	look := func(after time.Duration, p Place) bool {
		now += after
		p.Address, p.At = "n2", at(2)
		f.Looked(now, []Place{p})
		return len(f.Words(now).Sees) > 0
	}
	for range 7 {
		if look(300*time.Millisecond, Place{Refused: true}) {
			t.Fatal("sure too early")
		}
	}
	look(300*time.Millisecond, Place{Fault: "timeout"})
	for range 2 {
		if look(10*time.Second, Place{Refused: true}) {
			t.Error("time in which nobody looked counts")
		}
	}
	for range 3 {
		look(500*time.Millisecond, Place{Refused: true})
	}
	if d, why := f.Decide(now); d != Form {
		t.Errorf("%v for %q", d, why)
	}
}

func TestWordsOfAnotherNodeAreChecked(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]Words{
		"too many nodes":    {Sees: make([]kv.NodeID, MostNodes+1)},
		"out of order":      {Sees: []kv.NodeID{2, 1}},
		"a long reason":     {Why: strings.Repeat("x", maxWhy+1)},
		"a long name":       {Name: strings.Repeat("x", 256)},
		"a negative number": {Expect: -1},
	} {
		if w.Validate() == nil {
			t.Errorf("%s is taken", name)
		}
	}
	f := fresh(3)
	f.Looked(0, slices.Repeat([]Place{{Address: strings.Repeat("ü", 200), Fault: "timeout"}}, 9))
	if w := f.Words(0); w.Validate() != nil || w.Why == "" {
		t.Errorf("own words: %v", w.Validate())
	}
}

// Two processes run on copies of one directory, and each could form a cluster alone. Neither does, as long
// as the other one answers.
func TestCopiesOfOneFreshNodeFormNoTwoClusters(t *testing.T) {
	t.Parallel()
	for _, own := range []uint64{7, 8} {
		f := NewFormation(FormationOptions{Self: 1, Name: "n1", Expect: 1, Starts: 1, Incarnation: own})
		f.Looked(0, []Place{
			{Address: "n1", At: at(1), Node: 1, Incarnation: 7}, {Address: "n2", At: at(2), Node: 1, Incarnation: 8},
		})
		if d, why := f.Decide(0); d != Wait || !strings.Contains(strings.Join(why, "; "), "is a copy of the other's") {
			t.Errorf("process %d decides %v for %q", own, d, why)
		}
	}
}
