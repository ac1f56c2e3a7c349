package replica

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"pxkv/node/kv"
)

// SnapshotLimits bound what snapshots cost a node. A field that is 0 takes its default.
type SnapshotLimits struct {
	// Out and In are how many snapshots are under way at once from this node and to it. Learners
	// get all but one of either, since a voter that lags is worth more: a group may need its vote.
	// 0: 3 and 3.
	Out, In int
	// SmallOut and SmallIn are the same for snapshots of states of no more than SmallBytes, which have places of their
	// own: they bring little, and take the time of a few round trips and fsyncs. A state whose size nobody tells is
	// not small. 0: 8, 24 and 512 KiB.
	SmallOut, SmallIn int
	SmallBytes        int64
	// Pause is how long a follower waits for the next snapshot after one has failed; it doubles with
	// each that fails, up to MostPause, and up to half of it is added by chance. BusyPause is how long all followers
	// on a node wait that receives as many as it may: it is asked once, not for each of them. 0: 500 ms, 1 min and
	// 100 ms.
	Pause, MostPause, BusyPause time.Duration
	// Window and WindowBytes say when a shipment is given up: when fewer than WindowBytes of it moved
	// in a Window. Neither a large partition nor a slow link ends it, and a peer that takes it byte
	// by byte cannot hold a place for long. Time in which this process did not run does not
	// count. 0: 30 s and 1 MiB.
	Window      time.Duration
	WindowBytes int64
}

// WithDefaults fills in what is 0, and says what cannot be.
func (l SnapshotLimits) WithDefaults() (SnapshotLimits, error) {
	if l.Out == 0 {
		l.Out = 3
	}
	if l.In == 0 {
		l.In = 3
	}
	if l.SmallOut == 0 {
		l.SmallOut = 8
	}
	if l.SmallIn == 0 {
		l.SmallIn = 24
	}
	if l.SmallBytes == 0 {
		l.SmallBytes = 512 << 10
	}
	if l.BusyPause == 0 {
		l.BusyPause = 100 * time.Millisecond
	}
	if l.Pause == 0 {
		l.Pause = 500 * time.Millisecond
	}
	if l.MostPause == 0 {
		l.MostPause = max(time.Minute, l.Pause)
	}
	if l.Window == 0 {
		l.Window = 30 * time.Second
	}
	if l.WindowBytes == 0 {
		l.WindowBytes = 1 << 20
	}
	if l.Out < 0 || l.In < 0 || l.SmallOut < 0 || l.SmallIn < 0 || l.SmallBytes < 0 || l.BusyPause < 0 ||
		l.Pause < 0 || l.MostPause < l.Pause || l.Window < 0 || l.WindowBytes < 0 {
		return l,
			fmt.Errorf("limits of snapshots are %+v: they must be positive, or 0 for their defaults, and MostPause "+
				"at least Pause", l)
	}
	return l, nil
}

// outPlaces and inPlaces are how many snapshots of one size are under way at once.
func (l *SnapshotLimits) outPlaces(small bool) int {
	if small {
		return l.SmallOut
	}
	return l.Out
}

func (l *SnapshotLimits) inPlaces(small bool) int {
	if small {
		return l.SmallIn
	}
	return l.In
}

// forLearners is how many of so many places learners may have.
func forLearners(places int) int { return max(places-1, 1) }

// SnapshotRequest says which snapshot is sent to whom, on behalf of which leadership. The driver
// opens one of the current state, whatever index the library asked for: it can only be newer.
type SnapshotRequest struct {
	Partition kv.PartitionID
	From, To  kv.ReplicaID
	ToNode    kv.NodeID
	Term      uint64
	Urgent    bool // To is a voter, or of the meta group: not only learners wait for it
	Small     bool // the state has few bytes, see SnapshotLimits.SmallBytes
}

// Shipment is a snapshot on its way out of this node, from the Output of a turn to its report.
type Shipment struct {
	Request SnapshotRequest
	// OnGiveUp, when not nil, is called once, on the goroutine of a turn, when the shipment is to be given up,
	// with the reason. It is reported all the same. The driver sets it before the next turn, or asks GivenUp.
	OnGiveUp func(why error)

	moved atomic.Int64

	// The rest belongs to the goroutine of the turns.
	givenUp  error    // why, nil: it is not
	follower *laggard // nil: nobody waits for it any more
	tick     uint64   // at which the window began
	before   int64    // bytes that had moved by then
}

// GivenUp returns why the shipment is to be given up, nil when it is not. It is for the goroutine of the turns.
func (s *Shipment) GivenUp() error { return s.givenUp }

func (s *Shipment) giveUp(why error) {
	if s.givenUp != nil {
		return
	}
	s.givenUp = why
	if s.OnGiveUp != nil {
		s.OnGiveUp(why)
	}
}

// Move notes that so many bytes more have left. Any goroutine may call it.
func (s *Shipment) Move(bytes int) { s.moved.Add(int64(bytes)) }

// Moved is how many bytes have left. Any goroutine may call it.
func (s *Shipment) Moved() int64 { return s.moved.Load() }

// SnapshotReport tells the Host how a Shipment ended. Every one must be reported, or its place
// is never free again.
type SnapshotReport struct {
	Shipment *Shipment
	// Err is nil when the receiver has staged all of it. A kv.Refusal in it is the receiver's word.
	Err error
}

// ErrStalled ends a shipment of which too little moves: see SnapshotLimits.Window.
var ErrStalled = errors.New("it hardly moved any more")

// Other reasons why a shipment was of no use.
var (
	errNotNeeded = errors.New("nobody waits for it any more: the leadership, the replica or its need of a " +
		"snapshot has gone")
	errInDoubt   = errors.New("the replicas of the partition differ, and it is not known yet which of them is right")
	errNotTaken  = errors.New("the receiver staged it, and it was never heard that it is in use")
	errOvertaken = errors.New("the log behind it was cut before the receiver had caught up with it")
)

// failure is a kind of end, as metrics count them.
type failure uint8

const (
	failedOther     failure = iota // the connection broke, or it could not be made
	failedNoRoom                   // the receiver's disk
	failedBusy                     // the receiver receives others
	failedNotWanted                // the receiver has no such replica
	failedStalled                  // too slow
	failedNotNeeded                // given up: it is of no use any more
	failedInVain                   // it arrived, and the follower needs another all the same

	failures
)

var failureNames = [failures]string{"other", "no_room", "busy", "not_wanted", "stalled", "not_needed", "in_vain"}

func failureOf(err error) failure {
	if r, ok := errors.AsType[kv.Refusal](err); ok {
		switch r {
		case kv.NoRoom:
			return failedNoRoom
		case kv.Busy:
			return failedBusy
		case kv.NotWanted:
			return failedNotWanted
		}
	}
	switch {
	case errors.Is(err, ErrStalled):
		return failedStalled
	case errors.Is(err, errNotNeeded):
		return failedNotNeeded
	case errors.Is(err, errNotTaken), errors.Is(err, errOvertaken):
		return failedInVain
	}
	return failedOther
}

// refusal is the receiver's word, 0 when it had none.
func (f failure) refusal() kv.Refusal {
	switch f {
	case failedNoRoom:
		return kv.NoRoom
	case failedBusy:
		return kv.Busy
	case failedNotWanted:
		return kv.NotWanted
	}
	return 0
}
