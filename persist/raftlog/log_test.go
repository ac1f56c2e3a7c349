package raftlog

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist/disk"
	"pxkv/persist/state"
)

// store is who keeps the effects in these tests: of each replica it knows only how far it has come.
type store struct {
	applied, durable map[kv.PartitionID]labelled
	flushes          uint64
}

type labelled struct {
	id      kv.ReplicaID
	applied state.Applied
}

func newStore() *store {
	return &store{applied: map[kv.PartitionID]labelled{}, durable: map[kv.PartitionID]labelled{}}
}

func (s *store) flush() {
	s.durable = maps.Clone(s.applied)
	s.flushes++
}

func (s *store) Flushes() uint64 { return s.flushes }

func (s *store) Durable(p kv.PartitionID, id kv.ReplicaID) (uint64, bool) {
	l, ok := s.durable[p]
	return l.applied.Index, ok && l.id == id
}

func (s *store) WantDurable(_ kv.PartitionID, urgent bool) {
	if urgent {
		s.flush()
	}
}

func (s *store) WantFlush() { s.flush() }

func (s *store) FlushAll() bool { s.flush(); return true }

type noMetrics struct{}

func (noMetrics) Committed(int, time.Time) {}
func (noMetrics) Moved(int)                {}

// node is a log and its store of effects.
type node struct {
	*Log
	store *store
}

// openErr opens what is in fs, with what the store has of it.
func openErr(t testing.TB, fs vfs.FS, s *store, o Options) (*node, error) {
	t.Helper()
	var err error
	o.Limits, err = o.Limits.WithDefaults(true)
	must(t, err)
	o.Metrics = noMetrics{}
	d := disk.Open(disk.Options{
		FS: fs, Dir: "node", Pebble: "db", Logger: slog.New(slog.DiscardHandler),
		Fatal: func(text string) { panic(text) }, Inline: true,
	})
	must(t, disk.MakeDir(d.FS, "", d.Path(Dir)))
	l := New(d, o, s)
	found, err := l.Recover()
	for _, p := range slices.Sorted(maps.Keys(found)) {
		label, ok := s.durable[p]
		if !ok {
			label = labelled{found[p].ID, *found[p].Created}
			s.applied[p] = label
		}
		err = errors.Join(err, l.Load(p, found[p], &label.applied))
	}
	if err != nil {
		l.Abandon()
		return nil, errors.Join(err, d.Close())
	}
	d.Begin()
	return &node{l.Log, s}, nil
}

func openTest(t testing.TB, fs vfs.FS, s *store) *node {
	t.Helper()
	n, err := openErr(t, fs, s, Options{})
	must(t, err)
	return n
}

// Close ends a log as a node does: with all effects flushed.
func (n *node) Close() error {
	if !n.disk.End() {
		return nil
	}
	n.disk.Halt()
	n.store.flush()
	return errors.Join(n.Log.Close(), n.disk.Close())
}

func (n *node) NewBatch() *Batch {
	b := new(Batch)
	n.Begin(b)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func entry(index, term uint64, data string) *raftpb.Entry {
	return entryHeader{term: term, data: []byte(data)}.entry(index)
}

func entries(from, to, term uint64) (all []*raftpb.Entry) {
	for i := from; i <= to; i++ {
		all = append(all, entry(i, term, fmt.Sprintf("entry %d of term %d", i, term)))
	}
	return all
}

func raftHardState(h hardState) *raftpb.HardState {
	return &raftpb.HardState{Term: &h.term, Vote: &h.vote, Commit: &h.commit}
}

// bootstrap makes a replica that was there from the beginning.
func bootstrap(t testing.TB, n *node, p kv.PartitionID, id kv.ReplicaID) *Replica {
	t.Helper()
	b := n.NewBatch()
	r := b.Create(p, id, &state.Applied{Index: 1, Term: 1, Conf: &raftpb.ConfState{Voters: []uint64{uint64(id)}}})
	if r == nil {
		t.Fatalf("replica %d of partition %s was not created", id, p)
	}
	must(t, b.Commit())
	n.store.applied[p] = labelled{id, r.Applied()}
	return r
}

// appendAll appends and commits entries.
func appendAll(t testing.TB, n *node, r *Replica, es []*raftpb.Entry) {
	t.Helper()
	b := n.NewBatch()
	last := es[len(es)-1]
	b.SetHardState(r, raftHardState(hardState{term: last.GetTerm(), commit: r.hard.commit}))
	b.Append(r, es)
	must(t, b.Commit())
}

// applyTo applies entries up to index.
func applyTo(n *node, r *Replica, index uint64) {
	ap := r.Applied()
	ap.Revision += index - ap.Index
	ap.Index = index
	ap.Term, _ = r.Term(index)
	r.SetApplied(&ap)
	n.store.applied[r.partition] = labelled{r.id, ap}
}

// wantText checks that an error tells what it should.
func wantText(t testing.TB, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("error is %q, should tell %q", fmt.Sprint(err), part)
	}
}

// logText tells all that a log says.
func logText(n *node) (string, error) {
	var s strings.Builder
	all, err := n.Replicas()
	if err != nil {
		return "", err
	}
	for _, r := range all {
		first, _ := r.FirstIndex()
		last, _ := r.LastIndex()
		es, err := r.Entries(first, last+1, 1<<40)
		if err != nil {
			return "", fmt.Errorf("partition %s: %w", r.partition, err)
		}
		hard := r.hard
		hard.commit = max(hard.commit, r.Applied().Index) // as a restart raises it
		fmt.Fprintf(&s, "partition %s: id %d, %+v, void %v, after %+v", r.partition, r.id, hard, r.void, r.outline.base)
		for _, e := range es {
			fmt.Fprintf(&s, " %d:%d:%.20q", e.GetIndex(), e.GetTerm(), e.GetData())
		}
		s.WriteString("\n")
	}
	fmt.Fprintf(&s, "tombstones %v\n", n.roster.tombstones)
	return s.String(), nil
}
