package local

import (
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/cache"
	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/node/machine"
	"pxkv/node/replica"
	"pxkv/persist"
)

// alone is a node whose one replica leads its partition, stepped by hand.
type alone struct {
	t     *testing.T
	db    *persist.DB
	cache *cache.Cache
	host  *replica.Host
	h     *replica.Handle
	now   replica.Now
	in    replica.Input
	// unwanted: the placement names no replica here.
	unwanted bool
}

// It is a placement of one node.
func (a *alone) Assigned(kv.PartitionID, kv.ReplicaID) bool { return !a.unwanted }
func (a *alone) Issued(kv.ReplicaID) bool                   { return true }
func (a *alone) Nodes(kv.PartitionID) []kv.NodeID           { return nil }
func (a *alone) Members() []kv.NodeID                       { return nil }
func (a *alone) Standing(kv.NodeID) replica.Standing        { return replica.Standing{} }

func newAlone(t *testing.T) *alone {
	t.Helper()
	db, err := persist.Open(persist.Options{Dir: "data", FS: vfs.NewMem(), Light: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	a := &alone{t: t, db: db, cache: cache.New(64), now: replica.Now{Boot: time.Hour, WallMS: 1_000_000}}
	a.host, err = replica.NewHost(replica.Config{
		Node: 1, DB: db, Policy: a, Cache: a.cache, Fresh: true,
		Machine: func(kv.PartitionID) replica.StateMachine { return &machine.KV{} },
	})
	if err == nil {
		err = a.host.Bootstrap(7, 1, nil)
	}
	if err == nil {
		err = a.host.CommitNow()
	}
	if err != nil {
		t.Fatal(err)
	}
	a.turns(4)
	if a.h = a.host.Handle(7); !a.h.Leader().Self {
		t.Fatal("it does not lead")
	}
	return a
}

func (a *alone) turns(n int) {
	a.t.Helper()
	for range n {
		a.now.Boot += replica.DefaultTick
		a.now.WallMS += replica.DefaultTick.Milliseconds()
		in := a.in
		in.Tick = true
		a.in = replica.Input{}
		if _, err := a.host.Turn(a.now, &in); err != nil {
			a.t.Fatal(err)
		}
		if j := a.host.TakeJob(); j != nil {
			if err := j.Commit(); err != nil {
				a.t.Fatal(err)
			}
			a.in.Finished = append(a.in.Finished, j)
		}
	}
}

// put writes a key, which lives for so long; 0: for ever.
func (a *alone) put(key, value string, life time.Duration) {
	a.t.Helper()
	cmd := kv.Command{Op: kv.OpPut, Key: []byte(key), Value: kv.Value{Kind: kv.String, Data: []byte(value)}}
	if life > 0 {
		cmd.Expiry = kv.Expiry{Kind: kv.ExpiryIn, MS: life.Milliseconds()}
	}
	done := false
	a.in.Ops = append(a.in.Ops, replica.Op{Partition: 7, Command: cmd.AppendTo(nil), Reply: func(r entry.Reply) {
		if done = true; r.Err != nil {
			a.t.Error(r.Err)
		}
	}})
	if a.turns(4); !done {
		a.t.Fatal("a write got no answer")
	}
}

func (a *alone) clock() replica.Now { return a.now }

// read goes through all steps, with what happens between the state and the result.
func (a *alone) read(v View, key string, meanwhile func()) (kv.ReadResult, bool) {
	a.t.Helper()
	k := Key{View: v, Name: []byte(key)}
	if !k.Cached(a.cache) {
		if err := k.Load(a.db.Store); err != nil {
			a.t.Fatal(err)
		}
	}
	meanwhile()
	res, _, ok := k.Result(a.cache, a.clock, false)
	return res, ok
}

func TestAViewIsLeasedOnlyWhileTheLeaseHolds(t *testing.T) {
	t.Parallel()
	a := newAlone(t)
	a.h.HasLease(a.now.Boot) // which wants one
	a.turns(4)
	if _, ok := Leased(a.h, a.now.Boot); !ok {
		t.Error("a leader that is alone has no lease")
	}
	if _, ok := Leased(a.h, a.h.LeaseUntil()); ok {
		t.Error("a lease is good at its end")
	}
}

// What changed while a key was read is not kept by the cache, and the index that is named covers whatever
// was seen.
func TestAChangeBetweenTheSteps(t *testing.T) {
	t.Parallel()
	a := newAlone(t)
	a.put("k", "old", 0)
	a.cache.Clear()
	v := Fresh(a.h)
	before := a.h.Applied()
	res, ok := a.read(v, "k", func() { a.put("k", "new", 0) })
	if !ok || string(res.Item.Value.Data) != "old" || res.Receipt.Index < before || v.Holds() {
		t.Errorf("read %q at index %d of %d, ok %v; the view holds: %v", res.Item.Value.Data, res.Receipt.Index, before,
			ok, v.Holds())
	}
	if res, ok := a.read(Fresh(a.h), "k", func() {}); !ok || string(res.Item.Value.Data) != "new" {
		t.Errorf("read %q afterwards", res.Item.Value.Data)
	}
}

// A deadline is judged by the time that the view was opened with: what was there then is not said to be gone
// because time went on, and what is due is for the log to decide.
func TestADeadlineBetweenTheSteps(t *testing.T) {
	t.Parallel()
	a := newAlone(t)
	a.put("k", "v", 10*replica.DefaultTick)
	v := Fresh(a.h)
	k := Key{View: v, Name: []byte("k")}
	if err := k.Load(a.db.Store); err != nil {
		t.Fatal(err)
	}
	a.now.Boot += 20 * replica.DefaultTick
	a.now.WallMS += 20 * replica.DefaultTick.Milliseconds()
	if res, due, ok := k.Result(nil, a.clock, false); !ok || !due {
		t.Errorf("found %v, due %v, ok %v", res.Found, due, ok)
	}
	stale := Key{View: v, Name: []byte("k")}
	if err := stale.Load(a.db.Store); err != nil {
		t.Fatal(err)
	}
	if res, due, ok := stale.Result(nil, a.clock, true); !ok || due || res.Found {
		t.Errorf("a stale read shows what is due: %v, due %v, ok %v", res.Found, due, ok)
	}
	a.put("other", "v", 0) // brings the group's time forward
	if res, ok := a.read(Fresh(a.h), "k", func() {}); !ok || res.Found {
		t.Errorf("found %v after its deadline, ok %v", res.Found, ok)
	}
}

// A view that is opened again is one of the same replica, also when another one has taken its place: that has
// nothing yet, and would say so of every key.
func TestAReplicaThatIsReplacedBetweenTheSteps(t *testing.T) {
	t.Parallel()
	a := newAlone(t)
	a.put("k", "v", 0)
	v := Fresh(a.h)
	a.unwanted = true
	a.in.Messages = append(a.in.Messages, replica.Message{
		Kind: replica.Gone, Partition: 7, From: 9, To: 1, FromNode: 2,
	})
	a.turns(2)
	a.unwanted = false
	a.in.Messages = append(a.in.Messages, replica.Message{Kind: replica.RaftMessage, Partition: 7, From: 9, To: 2,
		FromNode: 2, Raft: &pb.Message{
			Type: pb.MsgHeartbeat.Enum(), From: new(uint64(9)), To: new(uint64(2)), Term: new(uint64(5)),
		}})
	a.turns(2)
	if h := a.host.Handle(7); h == nil || h.ID != 2 {
		t.Fatalf("the replica that took its place is %+v", h)
	}
	if res, ok := a.read(v.Again(), "k", func() {}); ok {
		t.Errorf("found %v counts", res.Found)
	}
	if _, ok := a.read(v, "k", func() {}); ok {
		t.Error("what is read by the first view counts")
	}
}

// A state that the store keeps stays what it was.
func TestAKeptState(t *testing.T) {
	t.Parallel()
	a := newAlone(t)
	a.put("k", "old", 0)
	state, err := a.db.NewView(7)
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	v := Kept(a.h, state.Applied())
	a.put("k", "new", 0)
	k := Key{View: v, Name: []byte("k")}
	if err := k.LoadKept(state); err != nil {
		t.Fatal(err)
	}
	res, _, ok := k.Result(a.cache, a.clock, false)
	if !ok || string(res.Item.Value.Data) != "old" || res.Receipt.Index != state.Applied().Index || !v.Holds() {
		t.Errorf("read %q at index %d of %d, ok %v, holds %v", res.Item.Value.Data, res.Receipt.Index,
			state.Applied().Index, ok, v.Holds())
	}
}

// A value that is longer than what is wanted is told by its length, from the store the first time and then from the
// cache; who wants it all the same gets it.
func TestALongValueThatIsNotWanted(t *testing.T) {
	t.Parallel()
	a := newAlone(t)
	long := strings.Repeat("v", 100_000)
	a.put("k", long, 0)
	a.cache.Clear()
	look := func(most int64, part kv.Part) (k Key, cached bool, res kv.ReadResult) {
		t.Helper()
		k = Key{View: Fresh(a.h), Name: []byte("k"), Part: part, Most: most}
		if cached = k.Cached(a.cache); !cached {
			if err := k.Load(a.db.Store); err != nil {
				t.Fatal(err)
			}
		}
		res, _, ok := k.Result(a.cache, a.clock, false)
		if !ok || !res.Found || res.Length != int64(len(long)) {
			t.Fatalf("found %v, %d bytes, ok %v", res.Found, res.Length, ok)
		}
		return k, cached, res
	}
	if k, cached, res := look(99_999, kv.Part{}); cached || !k.TooLong() || len(res.Item.Value.Data) > 0 {
		t.Errorf("at first: %d bytes, cached %v, too long %v", len(res.Item.Value.Data), cached, k.TooLong())
	}
	for _, most := range []int64{99_999, NotSlow} {
		if k, cached, res := look(most, kv.Part{}); !cached || !k.TooLong() || len(res.Item.Value.Data) > 0 {
			t.Errorf("most %d: %d bytes, cached %v, too long %v", most, len(res.Item.Value.Data), cached, k.TooLong())
		}
	}
	for _, most := range []int64{0, 100_000} {
		if k, cached, res := look(most, kv.Part{}); cached || k.TooLong() || string(res.Item.Value.Data) != long {
			t.Errorf("most %d: %d bytes, cached %v, too long %v", most, len(res.Item.Value.Data), cached, k.TooLong())
		}
	}
	part := kv.Part{Kind: kv.RangeOfValue, End: 9}
	if k, _, res := look(50, part); k.TooLong() || string(res.Item.Value.Data) != long[:10] {
		t.Errorf("a part: %d bytes, too long %v", len(res.Item.Value.Data), k.TooLong())
	}
	if k, _, _ := look(NotSlow, part); !k.TooLong() {
		t.Error("a part of what is known to be long is not slow")
	}
	a.put("k", "short", 0)
	k := Key{View: Fresh(a.h), Name: []byte("k"), Most: 99_999}
	if !k.Cached(a.cache) || k.TooLong() {
		t.Error("what was long is still too long when it has changed")
	}
}
