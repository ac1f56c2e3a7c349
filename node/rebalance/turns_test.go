package rebalance

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/node/machine"
	"pxkv/node/meta"
	"pxkv/node/replica"
	"pxkv/persist"
)

// hostOf returns a host whose partitions have states of these sizes, and does nothing.
func hostOf(t *testing.T, bytes func(kv.PartitionID) int64) *replica.Host {
	t.Helper()
	db, err := persist.Open(persist.Options{Dir: "data", FS: vfs.NewMem(), Light: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	h, err := replica.NewHost(replica.Config{
		Node: 7, DB: db, Policy: meta.NewMachine(db.Store, 7), Fresh: true, StateBytes: bytes,
		Machine: func(kv.PartitionID) replica.StateMachine { return &machine.KV{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Small groups are filled many at a time, large ones a few, and who waits goes on in order.
func TestPlacesAreGivenByBytes(t *testing.T) {
	t.Parallel()
	l := Limits{Filling: 2, FillingBytes: 1000, LeastFillingBytes: 10}.withDefaults()
	for _, tc := range []struct {
		name string
		size int64
		want int
	}{{"empty", 0, 100}, {"small", 100, 10}, {"large", 600, 2}, {"larger than all places", 1 << 40, 2}} {
		h := hostOf(t, func(kv.PartitionID) int64 { return tc.size })
		var q turns
		var filled []kv.PartitionID
		for p := range kv.PartitionID(200) {
			if q.fill(h, p, &l) {
				filled = append(filled, p)
			}
		}
		if len(filled) != tc.want || len(q.toFill.list) != 200-tc.want {
			t.Fatalf("%s: %d are filled at once, and %d wait; want %d", tc.name, len(filled), len(q.toFill.list),
				tc.want)
		}
		if !q.fill(h, 0, &l) {
			t.Errorf("%s: a group needs a second place", tc.name)
		}
		if next := q.next(&l); len(next) > 0 {
			t.Errorf("%s: no place is free, and %v come forward", tc.name, next)
		}
		q.filled(1)
		q.filled(1)
		next := q.next(&l)
		if len(next) == 0 || !q.fill(h, next[0], &l) {
			t.Errorf("%s: a place is free, and %v come forward", tc.name, next)
		}
	}
}

// How large a state is is asked once while a group is being filled, not at each look.
func TestSizesAreAskedOnce(t *testing.T) {
	t.Parallel()
	l := Limits{Filling: 2}.withDefaults()
	asked := 0
	h := hostOf(t, func(kv.PartitionID) int64 { asked++; return 1000 })
	var q turns
	for range 10 {
		q.begin(h, &l)
		q.fills(h, 3, &l)
		q.fills(h, 3, &l)
		if q.bytes != l.LeastFillingBytes {
			t.Fatalf("the groups that are filled have %d bytes, want %d", q.bytes, l.LeastFillingBytes)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
	q.begin(h, &l)
	q.begin(h, &l)
	if q.fills(h, 3, &l); asked != 2 {
		t.Errorf("what was not filled for a tick is not asked anew")
	}
}

// One leadership more may be on its way with each that arrives, up to a bound, and one again when one does not arrive.
func TestTheWindowOfDrifts(t *testing.T) {
	t.Parallel()
	l := Limits{Drifting: 3}.withDefaults()
	h := hostOf(t, nil)
	if err := errors.Join(h.Bootstrap(0, 5, nil), h.CommitNow()); err != nil {
		t.Fatal(err)
	}
	var in replica.Input
	for range 5 {
		if _, err := h.Turn(replica.Now{Boot: time.Hour, WallMS: 1}, &in); err != nil {
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
	if h.Handle(0).Leader().Replica == 0 {
		t.Fatal("nobody leads")
	}
	q := turns{window: 1, drifting: map[kv.PartitionID]drifting{}}
	for _, step := range []struct {
		to   kv.ReplicaID
		want int
	}{{5, 2}, {5, 3}, {5, 3}, {6, 1}, {5, 2}} {
		q.drifting[0] = drifting{to: step.to}
		if q.moved(h, 0, &l); q.window != step.want || len(q.drifting) > 0 {
			t.Fatalf("replica 5 leads, and leadership was to go to %d: window %d, %v, want %d", step.to, q.window,
				q.drifting, step.want)
		}
	}
	q.toDrift.add(1)
	if q.begin(h, &l); q.window != 2 {
		t.Errorf("somebody waits, and the window is %d", q.window)
	}
	if q.begin(h, &l); q.window != 1 {
		t.Errorf("nobody waits any more, and the window is %d", q.window)
	}
}

func TestQueue(t *testing.T) {
	t.Parallel()
	var q queue
	for _, p := range []kv.PartitionID{5, 3, 5, 9, 3} {
		q.add(p)
	}
	if got := q.take(2); !slices.Equal(got, []kv.PartitionID{5, 3}) {
		t.Errorf("the first two are %v", got)
	}
	q.add(5)
	if got := q.take(-1); len(got) > 0 {
		t.Errorf("none are %v", got)
	}
	if got := q.take(9); !slices.Equal(got, []kv.PartitionID{9, 5}) || len(q.in) > 0 {
		t.Errorf("the rest are %v, and %v are remembered", got, q.in)
	}
}
