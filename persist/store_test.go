package persist

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist/data"
	"pxkv/persist/raftlog"
	"pxkv/persist/state"
)

// openTest opens a store whose failure fails the test.
func openTest(t testing.TB, fs vfs.FS) *DB {
	t.Helper()
	db, err := Open(Options{Dir: "node", FS: fs, Light: true, Fatal: func(text string) { panic(text) }})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func entry(index, term uint64, data string) *raftpb.Entry { return newEntry(index, term, []byte(data)) }

// newEntry makes an entry in one allocation, as the log does.
func newEntry(index, term uint64, data []byte) *raftpb.Entry {
	s := &struct {
		e           raftpb.Entry
		index, term uint64
		typ         raftpb.EntryType
	}{index: index, term: term}
	s.e.Index, s.e.Term, s.e.Type, s.e.Data = &s.index, &s.term, &s.typ, data
	return &s.e
}

func entries(from, to, term uint64) (all []*raftpb.Entry) {
	for i := from; i <= to; i++ {
		all = append(all, entry(i, term, fmt.Sprintf("entry %d of term %d", i, term)))
	}
	return all
}

func stringRecord(s string, version uint64) data.Record {
	return data.Record{
		Value: kv.Value{Kind: kv.String, Data: []byte(s)}, Version: version, ModifiedMS: 1_700_000_000_000,
	}
}

// bootstrap makes a replica that was there from the beginning.
func bootstrap(t testing.TB, db *DB, p kv.PartitionID, id kv.ReplicaID) *raftlog.Replica {
	t.Helper()
	b := db.NewBatch()
	r := b.Create(p, id, &state.Applied{Index: 1, Term: 1, Conf: &raftpb.ConfState{Voters: []uint64{uint64(id)}}})
	if r == nil {
		t.Fatalf("replica %d of partition %s was not created", id, p)
	}
	must(t, b.Commit())
	return r
}

// appendAll appends and commits entries.
func appendAll(t testing.TB, db *DB, r *raftlog.Replica, es []*raftpb.Entry) {
	t.Helper()
	b := db.NewBatch()
	last := es[len(es)-1]
	b.SetHardState(r, raftHardState(hardState{term: last.GetTerm(), commit: hardOf(r).commit}))
	b.Append(r, es)
	must(t, b.Commit())
}

// applyTo puts one key for each entry up to index.
func applyTo(t testing.TB, db *DB, r *raftlog.Replica, index uint64) {
	t.Helper()
	a := db.NewApply()
	ap := r.Applied()
	for ap.Index < index {
		ap.Index++
		ap.Revision++
		a.Put(r.Partition(), fmt.Appendf(nil, "key%04d", ap.Index),
			stringRecord(fmt.Sprint("value ", ap.Index), ap.Revision))
	}
	ap.Term, _ = r.Term(index)
	a.SetApplied(r, ap)
	must(t, a.Commit())
}

// hardState is raftpb.HardState as plain values, entryID the entry before a log's first.
type (
	hardState struct{ term, vote, commit uint64 }
	entryID   struct{ index, term uint64 }
)

func raftHardState(h hardState) *raftpb.HardState {
	return &raftpb.HardState{Term: &h.term, Vote: &h.vote, Commit: &h.commit}
}

func hardOf(r *raftlog.Replica) hardState {
	hs, _, _ := r.InitialState()
	return hardState{hs.GetTerm(), hs.GetVote(), hs.GetCommit()}
}

// baseOf is the index of the entry before a log's first.
func baseOf(r *raftlog.Replica) uint64 {
	first, _ := r.FirstIndex()
	return first - 1
}

func lastOf(r *raftlog.Replica) uint64 {
	last, _ := r.LastIndex()
	return last
}

func tombstonesOf(db *DB) map[kv.PartitionID]kv.ReplicaID {
	all := map[kv.PartitionID]kv.ReplicaID{}
	for p := range kv.PartitionID(20) {
		if id := db.Tombstone(p); id > 0 {
			all[p] = id
		}
	}
	return all
}

// wantText checks that an error tells what it should.
func wantText(t testing.TB, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("error is %q, should tell %q", fmt.Sprint(err), part)
	}
}

// entriesOf is one entry.
func entriesOf(index, term uint64, data string) []*raftpb.Entry {
	return []*raftpb.Entry{entry(index, term, data)}
}
