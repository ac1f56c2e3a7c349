package sim

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"pxkv/node/autopilot"
	"pxkv/node/kv"
)

// World is the clock, what is to happen, and everyone to whom it happens.
type World struct {
	o          Options
	rng        *rand.Rand
	now        time.Duration
	seq        uint64
	events     eventHeap
	nodes      []*node
	net        network
	clients    []*client
	transfers  []*transfer // snapshots on their way
	check      checker
	flips      flips
	newKeys    map[int]int // by the place of a node: how many its operator has made after the first
	trace      hash.Hash64
	failure    error
	healed     bool
	losing     bool // a node is down, and whether for good is decided soon
	rolled     bool // every node was restarted
	over       bool // no fault will strike any more
	cluster    kv.ClusterID
	stats      Stats
	nap        time.Duration // clients do nothing until then
	calm       time.Duration // no fault strikes until then
	disks      int64         // numbered, for copies
	placed     int           // places that were given to nodes
	attempts   uint64        // to make a cluster
	succession *succession   // nil: nobody is to be replaced
	replacing  bool
	decided    time.Duration // when the operator last gave a replica up
	packing    packing
	waits      map[kv.NodeID][]autopilot.Wait // of members that depart, as last decided by
}

// Stats say what a run went through.
type Stats struct {
	Events, Crashes, Restarts, Cuts, Pauses, Transfers, Snapshots int
	Acked, Unknown, Reads, LeaseReads                             int
	Panics                                                        int
	Rotations                                                     int
	Flips, Rebuilt, GivenUp                                       int
	Jumps, ReadsOfExpired, Advances                               int
	KilledAtWrite, KilledAtStart                                  int
	Pairs, Torn, Views                                            int // reads of two keys together
	Stale, StaleMortal, Claims, Frozen, LinkCuts                  int
	// longest time from the end of the faults until all was complete
	Settled                                             time.Duration
	SnapshotsBroken, NoRoom                             int
	Lost, Falls, Bereaved                               int
	DiskFailures, FullDisks, Stalls, RefusedFull, Stops int
	Copies, Refusals, Moved, Replaced                   int
	Formed, Decided                                     int
	Packed                                              int // proposals with packed values
	Orders, Removed, Gone                               int // of members that depart
	Disconnects                                         int // of which a node was told
	Quiet                                               int // runs in which all rested in the end
	Resized                                             int // orders of another number of replicas
	Rests                                               int // replicas seen at rest while clients did nothing
	Forgot                                              int // memories of nodes that went with their processes
}

type event struct {
	at  time.Duration
	seq uint64
	f   func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*h = old[:len(old)-1]
	return e
}

// after schedules f.
func (w *World) after(d time.Duration, f func()) {
	w.seq++
	heap.Push(&w.events, event{w.now + max(d, 0), w.seq, f})
}

// run lets time pass until the given moment or a failure.
func (w *World) run(until time.Duration) {
	for len(w.events) > 0 && w.events[0].at <= until && w.failure == nil {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		w.stats.Events++
		e.f()
	}
	if w.failure == nil {
		w.now = until
	}
}

// fail ends the run with the first violation.
func (w *World) fail(format string, args ...any) {
	if w.failure == nil {
		w.failure = fmt.Errorf("at %v: %s", w.now, fmt.Sprintf(format, args...))
	}
}

// note adds to the trace, whose hash two runs of one seed must share.
func (w *World) note(kind byte, values ...uint64) {
	var b [8]byte
	w.trace.Write([]byte{kind})
	binary.LittleEndian.PutUint64(b[:], uint64(w.now))
	w.trace.Write(b[:])
	for _, v := range values {
		binary.LittleEndian.PutUint64(b[:], v)
		w.trace.Write(b[:])
	}
}

// chance is true with probability p.
func (w *World) chance(p float64) bool { return w.rng.Float64() < p }

// between draws a duration, evenly.
func (w *World) between(lo, hi time.Duration) time.Duration {
	if hi <= lo {
		return lo
	}
	return lo + time.Duration(w.rng.Int64N(int64(hi-lo)))
}

func newWorld(o Options) *World {
	w := &World{o: o, rng: rand.New(rand.NewPCG(o.Seed, 0x9e3779b97f4a7c15)), trace: fnv.New64a()}
	w.check.init(w)
	w.flips.wrong, w.flips.spread = map[replicaKey]bool{}, map[kv.PartitionID]bool{}
	w.flips.givenUp = map[replicaKey]bool{}
	w.net.init(w)
	return w
}

func (w *World) node(id kv.NodeID) *node {
	for _, n := range slices.Backward(w.nodes) {
		if n.id == id {
			return n
		}
	}
	return nil
}
