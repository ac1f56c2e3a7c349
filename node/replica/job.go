package replica

import (
	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist"
)

// Job is what several turns want on disk: log entries, hard states and snapshots of all
// groups in one batch with one fsync, and the promises that may be made after it.
type Job struct {
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
	g *group
	m *pb.Message
}

// Commit writes the job. It may run on any goroutine; jobs one after the other.
func (j *Job) Commit() error { return j.batch.Commit() }

// NeedsSync reports whether Commit waits for the disk.
func (j *Job) NeedsSync() bool { return j.batch.NeedsSync() }

// installs reports whether a snapshot is installed, which takes a while.
func (j *Job) installs() bool { return len(j.installed) > 0 }

// Frames returns the frames to send after Commit.
func (j *Job) Frames() []Frame { return j.frames.take() }

// job returns the job that is being filled.
func (h *Host) job() *Job {
	if h.open == nil {
		h.open = &Job{batch: h.cfg.DB.NewBatch(), frames: frames{room: h.promised}}
	}
	return h.open
}

// TakeJob returns the next job to commit, or nil when there is none or one is under way.
func (h *Host) TakeJob() *Job {
	if h.inFlight || h.open == nil {
		return nil
	}
	j := h.open
	h.open, h.inFlight = nil, true
	h.promised = j.frames.largest()
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
	h.inFlight = false
	if j.cleared || len(j.installed) > 0 {
		h.cfg.Cache.Clear()
	}
	for _, g := range j.installed {
		if h.groups[g.p] != g {
			continue
		}
		g.installed()
	}
	for _, r := range j.self {
		if h.groups[r.g.p] == r.g {
			r.g.stepSelf(r.m)
		}
	}
}

// frames gathers what is to be said, in few frames a peer.
type frames struct {
	list []Frame
	room int // bytes that a frame has from the start: what the largest of the last ones had
}

const (
	// frameBytes is about where a frame ends and the next begins. A peer's queue takes or drops a
	// frame whole, heartbeats included, so one must not hold all that a turn sends to a follower
	// that catches up in many groups. Only a single large entry makes a longer one.
	frameBytes = 256 << 10
	// leastRoom and mostRoom bound frames.room.
	leastRoom, mostRoom = 128, 32 << 10
)

func (f *frames) add(to kv.NodeID, m *Message) {
	if to == 0 {
		return // an id nobody told us the node of; the sender tries again
	}
	for i := len(f.list) - 1; i >= 0; i-- {
		if f.list[i].To == to {
			if len(f.list[i].Data) >= frameBytes {
				break
			}
			f.list[i].Data = appendMessage(f.list[i].Data, m)
			return
		}
	}
	data := append(make([]byte, 0, min(max(f.room, leastRoom), mostRoom)), frameVersion)
	f.list = append(f.list, Frame{To: to, Data: appendMessage(data, m)})
}

func (f *frames) largest() int {
	n := 0
	for i := range f.list {
		n = max(n, len(f.list[i].Data))
	}
	return n
}

func (f *frames) take() []Frame {
	l := f.list
	if l != nil {
		f.room = f.largest()
	}
	f.list = nil
	return l
}
