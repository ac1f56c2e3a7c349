package data

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist/disk"
	"pxkv/persist/state"
)

type noMetrics struct{}

func (noMetrics) Effects(int)                 {}
func (noMetrics) SnapshotBytes(string, int64) {}

// watched are options of its disk.
type watched = disk.Options

// options of a store that nobody else has: changed may be nil.
type options struct {
	disk   watched
	limits Limits
	pebble Pebble
	waits  bool // what is light waits for flushes
}

// openWith opens a store in fs, which is empty or has one.
func openWith(t testing.TB, fs vfs.FS, o options) *Store {
	t.Helper()
	o.disk.FS, o.disk.Dir, o.disk.Pebble, o.disk.Inline = fs, "node", Dir, o.waits
	if o.disk.Logger == nil {
		o.disk.Logger = slog.New(slog.DiscardHandler)
	}
	if o.disk.Fatal == nil {
		o.disk.Fatal = func(text string) { panic(text) }
	}
	limits, err := o.limits.WithDefaults(o.waits)
	must(t, err)
	d := disk.Open(o.disk)
	must(t, disk.MakeDir(d.FS, "", d.Path(Dir)))
	if _, total, err := d.FreeBytes(); err == nil {
		limits.FitTo(total)
	}
	s := New(d, Options{Pebble: o.pebble.WithDefaults(o.waits), Limits: limits, Metrics: noMetrics{}, Light: o.waits})
	must(t, s.Open(nil))
	d.Begin()
	_, _ = s.LookForRoom()
	return s.Store
}

// openTest opens a light store whose failure fails the test.
func openTest(t testing.TB, fs vfs.FS) *Store {
	t.Helper()
	return openWith(t, fs, options{waits: true})
}

// shut ends a store as a node does.
func shut(t testing.TB, s *Store) {
	t.Helper()
	s.disk.End()
	s.disk.Halt()
	must(t, errors.Join(s.Flush(), s.Close(), s.disk.Close()))
}

// replica is whose entries are applied.
type replica struct {
	p       kv.PartitionID
	id      kv.ReplicaID
	applied state.Applied
}

func (r *replica) Partition() kv.PartitionID    { return r.p }
func (r *replica) ID() kv.ReplicaID             { return r.id }
func (r *replica) SetApplied(ap *state.Applied) { r.applied = *ap }
func (r *replica) Applied() state.Applied       { return r.applied }

// bootstrap makes the data of a replica that was there from the beginning.
func bootstrap(t testing.TB, s *Store, p kv.PartitionID, id kv.ReplicaID) *replica {
	t.Helper()
	r := &replica{p, id, state.Applied{Index: 1, Term: 1, Conf: &raftpb.ConfState{Voters: []uint64{uint64(id)}}}}
	s.NewBirth(p, id, &r.applied).Commit()
	return r
}

// learner makes the data of a replica that waits for a snapshot.
func learner(s *Store, p kv.PartitionID, id kv.ReplicaID) *replica {
	r := &replica{p: p, id: id}
	s.NewBirth(p, id, &r.applied).Commit()
	return r
}

// applyTo puts one key for each entry up to index.
func applyTo(t testing.TB, s *Store, r *replica, index uint64) {
	t.Helper()
	a := s.NewApply()
	ap := r.applied
	for ap.Index < index {
		ap.Index++
		ap.Revision++
		a.Put(r.p, fmt.Appendf(nil, "key%04d", ap.Index), stringRecord(fmt.Sprint("value ", ap.Index), ap.Revision))
	}
	ap.Term = 3
	a.SetApplied(r, ap)
	must(t, a.Commit())
}

// filled is a partition that has applied up to index 50.
func filled(t testing.TB, s *Store, p kv.PartitionID) *replica {
	t.Helper()
	r := bootstrap(t, s, p, 1)
	applyTo(t, s, r, 50)
	return r
}

// install replaces what is there of r by a snapshot, as if the log said so.
func install(t testing.TB, s *Store, r *replica, staged *Staged) {
	t.Helper()
	if !staged.Take() {
		t.Fatal("the snapshot was taken before")
	}
	must(t, staged.Prepare(r.id))
	must(t, staged.Install())
	r.applied = staged.Applied()
}

func streamOf(t testing.TB, s *Store, p kv.PartitionID) []byte {
	t.Helper()
	r, err := s.OpenSnapshot(p)
	must(t, err)
	var stream bytes.Buffer
	_, err = r.WriteTo(&stream)
	must(t, errors.Join(err, r.Close()))
	return stream.Bytes()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func stringRecord(s string, version uint64) Record {
	return Record{Value: kv.Value{Kind: kv.String, Data: []byte(s)}, Version: version, ModifiedMS: 1_700_000_000_000}
}

// wantText checks that an error tells what it should.
func wantText(t testing.TB, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("error is %q, should tell %q", fmt.Sprint(err), part)
	}
}

// partitionText tells all that is there of a partition.
func partitionText(s *Store, p kv.PartitionID) (string, error) {
	items, next, err := s.Scan(p, Query{})
	if err != nil || next != nil {
		return "", fmt.Errorf("scan: more from %q: %w", next, err)
	}
	due, _, err := s.Due(p, Due{}, math.MaxInt64, math.MaxInt)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, it := range items {
		fmt.Fprintf(&text, " %+v", it)
	}
	for _, d := range due {
		fmt.Fprintf(&text, " due %d %q", d.DeadlineMS, d.Key)
	}
	return text.String(), nil
}
