package replica

import (
	"encoding/binary"
	"math"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist"
)

// Job is what several turns want on disk: log entries, hard states and snapshots of all
// groups in one batch with one fsync, and the promises that may be made after it.
type Job struct {
	db    *persist.DB // nil when nothing is to be told of it: see position
	batch *persist.Batch
	// Frames carry votes and append acknowledgements. They may leave only when Commit has
	// returned without error.
	frames    frames
	self      []selfResponse
	installed []*group // groups whose data a snapshot replaces
	cleared   bool     // data went away: caches must forget it
}

// selfResponse tells a group that its own storage write is done.
type selfResponse struct {
	g  *group
	rn *raft.RawNode
	m  *pb.Message
}

// Commit writes the job. It may run on any goroutine; jobs one after the other.
func (j *Job) Commit() error { return j.batch.Commit() }

// NeedsSync reports whether Commit waits for the disk.
func (j *Job) NeedsSync() bool { return j.batch.NeedsSync() }

// Waits reports whether Commit waits for the tables of the store, as an install does for a while.
func (j *Job) Waits() bool { return j.batch.Waits() }

// Frames returns the frames to send after Commit.
func (j *Job) Frames() []Frame { return j.frames.take(j.position()) }

func (j *Job) position() uint64 {
	if j.db == nil {
		return 0
	}
	return j.db.Position()
}

// jobs are the job that is being filled, and what is known of the one under way.
type jobs struct {
	open     *Job
	underWay bool
	since    uint64 // tick at which the last one was taken
	late     bool   // it counts as a stall already
	room     int    // bytes of its largest frame
}

// take lets the open job leave.
func (j *jobs) take(tick uint64) *Job {
	next := j.open
	*j = jobs{underWay: true, since: tick, room: next.frames.largest()}
	return next
}

// age is for how many ticks a job has been under way, 0 when none is.
func (j *jobs) age(tick uint64) uint64 {
	if !j.underWay {
		return 0
	}
	return tick - j.since
}

// diskHangs reports whether the disk has had a job for longer than an election takes to begin. The
// loop goes on meanwhile and so do heartbeats, and nobody would elect another leader, though what is
// led here takes no writes. The followers have what was proposed: one of them takes over.
func (h *Host) diskHangs() bool { return h.jobs.age(h.clock.ticks) > ElectionTicks }

// job returns the job that is being filled.
func (h *Host) job() *Job {
	if h.jobs.open == nil {
		h.jobs.open = &Job{batch: h.cfg.DB.NewBatch(),
			frames: frames{room: h.jobs.room, limit: h.cfg.Limits.FrameBytes, tellable: h.tellable}}
	}
	return h.jobs.open
}

// TakeJob returns the next job to commit, or nil when there is none or one is under way.
func (h *Host) TakeJob() *Job {
	if h.jobs.underWay {
		return nil
	}
	h.intake.left()
	if h.jobs.open == nil {
		return nil
	}
	j := h.jobs.take(h.clock.ticks)
	if h.recall.trusted {
		j.db = h.cfg.DB
	}
	return j
}

// CommitNow commits what is open, before the first turn: what Bootstrap made.
func (h *Host) CommitNow() error {
	j := h.TakeJob()
	if j == nil {
		return nil
	}
	if err := j.Commit(); err != nil {
		return err
	}
	h.finish(j)
	return nil
}

// finish takes back a committed job.
func (h *Host) finish(j *Job) {
	h.jobs.underWay = false
	if j.cleared || len(j.installed) > 0 {
		h.cfg.Cache.Clear()
	}
	for _, g := range j.installed {
		if h.groups.has(g) {
			g.installed()
		}
	}
	for _, r := range j.self {
		if h.groups.has(r.g) && r.g.raft.RawNode == r.rn {
			r.g.stepSelf(r.m)
		}
	}
}

// frames gathers what is to be said, in few frames a peer.
type frames struct {
	list  []Frame
	room  int // bytes that a frame has from the start: what the largest of the last ones had
	limit int // Limits.FrameBytes
	// tellable is the highest position that a node may be told now; nil: any.
	tellable func(kv.NodeID) uint64
}

// leastRoom and mostRoom bound frames.room.
const leastRoom, mostRoom = 128, 32 << 10

func (f *frames) add(to kv.NodeID, m *Message) {
	if to == 0 {
		return // an id nobody told us the node of; the sender tries again
	}
	for i := len(f.list) - 1; i >= 0; i-- {
		if f.list[i].To == to {
			if len(f.list[i].Data) >= f.limit {
				break
			}
			f.list[i].Data = appendMessage(f.list[i].Data, m)
			return
		}
	}
	data := append(make([]byte, 0, min(max(f.room, leastRoom), mostRoom)), frameVersion)
	data = append(data, make([]byte, frameHeader-len(data))...)
	told := uint64(math.MaxUint64)
	if f.tellable != nil {
		told = f.tellable(to)
	}
	f.list = append(f.list, Frame{To: to, Data: appendMessage(data, m), told: told})
}

func (f *frames) largest() int {
	n := 0
	for i := range f.list {
		n = max(n, len(f.list[i].Data))
	}
	return n
}

// take returns the frames, each with how far this node's disk is when they leave.
func (f *frames) take(position uint64) []Frame {
	l := f.list
	for i := range l {
		binary.BigEndian.PutUint64(l[i].Data[1:], min(position, l[i].told))
	}
	if l != nil {
		f.room = f.largest()
	}
	f.list = nil
	return l
}
