package salvage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/goleak"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/node/machine"
	"pxkv/node/meta"
	"pxkv/persist"
	"pxkv/persist/data"
	"pxkv/persist/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// had is what the directory of a node has: node n, with replica n of partition 0, whose log begins with entry 2. The
// entry of index i and term t writes "t.i" to the key "last" and to the key "i".
type had struct {
	node     int
	terms    []uint64 // of its entries
	commit   uint64   // up to where it knows them to be committed
	applied  uint64   // up to where they are
	cut      uint64   // up to where they are gone from the log, at most applied
	void     bool
	wrong    bool   // what it applied is not what it should be
	starts   uint64 // 0 is 1
	cluster  kv.ClusterID
	expires  bool // the keys of index 2 expire in between
	outgoing []uint64
}

const begin = 1_000_000 // Unix milliseconds, of entry 0; each is a second later

func (h *had) entry(index uint64) *raftpb.Entry {
	term := h.terms[index-2]
	text := (&entry.Payload{TimeMS: begin + int64(index)*1000, Count: 2}).AppendTo(nil)
	for _, key := range []string{"last", fmt.Sprint(index)} {
		c := kv.Command{Op: kv.OpPut, Key: []byte(key), Value: kv.Value{Kind: kv.String,
			Data: fmt.Appendf(nil, "%d.%d", term, index)}}
		if h.expires && index == 2 {
			c.Expiry = kv.Expiry{Kind: kv.ExpiryAt, MS: begin + 4000}
		}
		text = c.AppendTo(text)
	}
	return &raftpb.Entry{Index: &index, Term: &term, Type: raftpb.EntryNormal.Enum(), Data: text}
}

// make makes the directory.
func (h had) make(t *testing.T) string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), fmt.Sprintf("n%d", h.node))
	db, err := persist.Open(persist.Options{Dir: dir, Light: true, Fatal: func(text string) { panic(text) }})
	must(err)
	cluster := max(h.cluster, 77)
	must(db.SaveIdentity(persist.Identity{Node: kv.NodeID(h.node), Name: fmt.Sprintf("n%d", h.node), Cluster: cluster,
		Starts: max(h.starts, 1), MetaReplica: kv.ReplicaID(h.node)}))
	s := meta.Bootstrap(cluster, "c", 2, 3, meta.Member{ID: 1, Name: "n1", Starts: 2, Incarnation: 1,
		Addresses: kv.Addresses{
			Peer: "127.0.0.1:1", HTTP: "127.0.0.1:2", RESP: "127.0.0.1:3"}})
	initial := &state.Applied{Index: 1, Term: 1, Conf: &raftpb.ConfState{Voters: []uint64{1, 2, 3},
		VotersOutgoing: h.outgoing}}
	b := db.NewBatch()
	m := b.Create(kv.Meta, kv.ReplicaID(h.node), initial)
	meta.NewMachine(db.Store, kv.NodeID(h.node)).Seed(&s)(b, m)
	r := b.Create(0, kv.ReplicaID(h.node), initial)
	must(b.Commit())
	b = db.NewBatch()
	for i := range h.terms {
		b.Append(r, []*raftpb.Entry{h.entry(uint64(i) + 2)})
	}
	if n := len(h.terms); n > 0 {
		b.SetHardState(r, &raftpb.HardState{Term: &h.terms[n-1], Commit: &h.commit})
	}
	must(b.Commit())
	mach := &machine.KV{}
	if h.wrong {
		mach.Disturb = func(_ kv.PartitionID, _ []byte, rec *data.Record) { rec.Value.Data = []byte("wrong") }
	}
	ap := r.Applied()
	for i := uint64(2); i <= h.applied; i++ {
		a, e := db.NewApply(), h.entry(i)
		payload, err := entry.Decode(e.Data)
		must(err)
		ap.Index, ap.Term, ap.TimeMS = i, e.GetTerm(), payload.TimeMS
		_, err = mach.Apply(a, 0, &ap, &payload, false)
		a.SetApplied(r, ap)
		must(errors.Join(err, a.Commit()))
	}
	must(db.Flush())
	b = db.NewBatch()
	if h.void {
		b.Void(r)
	}
	if h.cut > 0 {
		must(db.Flush())
		for range 100 { // it is learned a little later that they are durable
			must(b.Truncate(r, h.cut))
			if first, _ := r.FirstIndex(); first > h.cut {
				break
			}
			must(b.Commit())
			b = db.NewBatch()
		}
	}
	must(errors.Join(b.Commit(), db.Close()))
	return dir
}

// found is what a salvage of some directories says: the value of "last", how many keys there are, and the report.
func found(t *testing.T, o Options) (last string, keys []string, r Report) {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	err = s.Pairs(Query{}, func(it *kv.Item) error {
		if keys = append(keys, string(it.Key)); string(it.Key) == "last" {
			last = string(it.Value.Data)
		}
		return nil
	})
	if err != nil || !slices.IsSorted(keys) {
		t.Fatal(err, keys)
	}
	return last, keys, s.Report()
}

func TestWhatIsTaken(t *testing.T) {
	t.Parallel()
	three := []uint64{1, 1, 1}
	for name, c := range map[string]struct {
		dirs        []had
		uncommitted bool
		last        string
		keys        int // with "last"
		says        string
		whole       bool // but for partition 1, of which there never is a copy
	}{
		"the log with the highest term, not the longest": {
			dirs: []had{{node: 1, terms: []uint64{1, 1, 1, 1}, commit: 3, starts: 2}, {node: 2, terms: []uint64{1, 1,
				2}, commit: 3, applied: 2}},
			last: "2.4", keys: 4, says: "1 log entries were taken as an election", whole: true,
		},
		"the longest of those": {
			dirs: []had{{node: 1, terms: three, commit: 2, starts: 2}, {node: 2, terms: []uint64{1, 1}, commit: 2},
				{node: 3, terms: []uint64{1, 1, 1, 1, 1}, commit: 2}},
			last: "1.6", keys: 6, says: "4 log entries were taken as an election", whole: true,
		},
		"one alone, up to what is known to be committed": {
			dirs: []had{{node: 2, terms: three, commit: 3}}, last: "1.3", keys: 3,
			says: "acknowledged writes of partition 0 may be missing|1 log entries were left out",
		},
		"one alone, all": {
			dirs: []had{{node: 2, terms: three, commit: 3}}, uncommitted: true, last: "1.4", keys: 4,
			says: "partition 0 may be missing|1 log entries were taken that are not known to be committed",
		},
		"of a joint configuration, a majority of one half": {
			dirs: []had{{node: 1, terms: three, commit: 3, starts: 2, outgoing: []uint64{1, 4, 5}},
				{node: 2, terms: three, commit: 3, outgoing: []uint64{1, 4, 5}}}, last: "1.3", keys: 3,
			says: "partition 0 may be missing",
		},
		"an older copy has forgotten what it promised": {
			dirs: []had{{node: 1, terms: three, commit: 3}, {node: 2, terms: three, commit: 3}}, last: "1.3", keys: 3,
			says: "partition 0 may be missing|n1 is an older copy",
		},
		"the log of a copy whose state is void": {
			dirs: []had{{node: 1, terms: three, commit: 3, starts: 2}, {node: 2, terms: []uint64{1, 1, 1, 1},
				commit: 3, applied: 3,
				wrong: true, void: true}},
			last: "1.5", keys: 5, says: "the copy of partition 0 in |/n2 was not used: it is known to be wrong",
			whole: true,
		},
		"nobody comes up to the log of a void one": {
			dirs: []had{{node: 1, terms: three[:1], commit: 2, starts: 2}, {node: 2, terms: []uint64{1, 1, 1, 1},
				commit: 5, applied: 5,
				cut: 4, void: true}},
			last: "1.2", keys: 2, says: "acknowledged writes of partition 0 are missing: the only copy",
		},
		"only void ones": {
			dirs: []had{{node: 1, terms: three, commit: 4, applied: 4, void: true, starts: 2}},
			says: "all of partitions 0-1 is missing",
		},
		"a majority is right": {
			dirs: []had{{node: 1, terms: three, commit: 4, applied: 4, wrong: true, starts: 2}, {node: 2,
				terms: three, commit: 4},
				{node: 3, terms: three, commit: 4, applied: 3}},
			last: "1.4", keys: 4, says: "/n1 was not used: it differs from a majority", whole: true,
		},
		"nobody knows who is right": {
			dirs: []had{{node: 1, terms: three, commit: 4, applied: 3, starts: 2}, {node: 2, terms: three, commit: 4,
				applied: 4, wrong: true}},
			last: "1.4", keys: 4, says: "the copies of partition 0 differ",
		},
		"what has expired by the time of the group is gone": {
			dirs: []had{{node: 1, terms: three, commit: 4, starts: 2, expires: true}, {node: 2, terms: three,
				commit: 4, expires: true}},
			last: "1.4", keys: 3, whole: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := Options{Uncommitted: c.uncommitted}
			for _, h := range c.dirs {
				o.Dirs = append(o.Dirs, h.make(t))
			}
			last, keys, r := found(t, o)
			if last != c.last || len(keys) != c.keys {
				t.Errorf("the last value is %q, the keys %v; want %q and %d keys", last, keys, c.last, c.keys)
			}
			lines := strings.Join(r.Lines(), "\n")
			for _, want := range strings.Split(c.says, "|") {
				if !strings.Contains(lines, want) {
					t.Errorf("it says %q, want %q", lines, want)
				}
			}
			if len(r.Missing) == 0 || r.Whole() {
				t.Errorf("partition 1 is not missing: %+v", r)
			}
			r.Missing = slices.DeleteFunc(r.Missing, func(p kv.PartitionID) bool { return p == 1 })
			if r.Whole() != c.whole {
				t.Errorf("whole is %v: %+v", r.Whole(), r)
			}
		})
	}
}

func TestWhatIsNotRead(t *testing.T) {
	t.Parallel()
	one := had{node: 1, terms: []uint64{1}, commit: 2}.make(t)
	again := had{node: 1, terms: []uint64{1}, commit: 2}.make(t)
	other := had{node: 2, terms: []uint64{1}, commit: 2, cluster: 78}.make(t)
	fresh := filepath.Join(t.TempDir(), "fresh")
	db, err := persist.Open(persist.Options{Dir: fresh, Light: true})
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	for want, dirs := range map[string][]string{
		"no data directory is given": nil, "are of one node": {one, again}, "the cluster with the id": {one, other},
		"never was in a cluster": {fresh}, "no data directory of a node": {empty},
		"no such file": {filepath.Join(empty, "none")},
	} {
		if s, err := Open(Options{Dirs: dirs}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, %v; want %q", dirs, s, err, want)
		}
	}
	if left, err := os.ReadDir(empty); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestQueries(t *testing.T) {
	t.Parallel()
	o := Options{Dirs: []string{had{node: 1, terms: []uint64{1, 1, 1, 1, 1}, commit: 6}.make(t)}}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for want, q := range map[string]Query{
		"2 3 4 5 6 last": {}, "3 4": {From: []byte("3"), To: []byte("5")}, "last": {Prefix: []byte("l")},
		"6 last": {Filter: kv.Filter{Where: `value == "1.6"`}}, "4": {Filter: kv.Filter{Glob: "[4]"}},
	} {
		var keys []string
		err := s.Pairs(q, func(it *kv.Item) error { keys = append(keys, string(it.Key)); return nil })
		if err != nil || strings.Join(keys, " ") != want {
			t.Errorf("%+v: %v, %v; want %s", q, keys, err, want)
		}
	}
	stop := errors.New("stop")
	if err := s.Pairs(Query{}, func(*kv.Item) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	if err := s.Pairs(Query{Filter: kv.Filter{Where: "value."}}, nil); err == nil {
		t.Error("a broken filter is taken")
	}
}

func TestRanges(t *testing.T) {
	t.Parallel()
	for want, all := range map[string][]kv.PartitionID{
		"partition 3": {3}, "partitions 1-2": {1, 2}, "partitions 0, 2-4, 63": {0, 2, 3, 4, 63},
	} {
		if got := ranges(all); got != want {
			t.Errorf("%v is %q, want %q", all, got, want)
		}
	}
}
