package raftlog

import (
	"fmt"

	"go.etcd.io/raft/v3/confchange"
	"go.etcd.io/raft/v3/quorum"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"

	"pxkv/persist/codec"
)

// Alone reports whether no other replica has a vote.
func (r *Replica) Alone() (bool, error) {
	voters, err := r.Voters()
	if err != nil {
		return false, err
	}
	for id := range voters.IDs() {
		if id != uint64(r.id) {
			return false, nil
		}
	}
	return true, nil
}

// Voters are those who have a vote. The configuration of the state may be one from before a crash: what the log has of
// newer ones, and is known to be committed, counts as well.
func (r *Replica) Voters() (quorum.JointConfig, error) {
	c := confchange.Changer{Tracker: tracker.MakeProgressTracker(1, 0), LastIndex: r.outline.last}
	var err error
	if c.Tracker.Config, c.Tracker.Progress, err = confchange.Restore(c, r.Applied().Conf); err != nil {
		return quorum.JointConfig{}, err
	}
	for next, end := r.Applied().Index+1, r.hard.commit+1; next < end; {
		entries, err := r.Entries(next, end, 1<<20)
		if err != nil {
			return quorum.JointConfig{}, err
		}
		for _, e := range entries {
			next = e.GetIndex() + 1
			if e.GetType() != raftpb.EntryConfChangeV2 {
				continue
			}
			var cc raftpb.ConfChangeV2
			if err := proto.Unmarshal(e.GetData(), &cc); err != nil {
				return quorum.JointConfig{}, fmt.Errorf("%w: configuration change: %w", codec.ErrCorrupt, err)
			}
			if c.Tracker.Config, c.Tracker.Progress, err = change(c, &cc); err != nil {
				return quorum.JointConfig{}, err
			}
		}
	}
	return c.Tracker.Voters, nil
}

// Committed is up to which index the log is known to be committed: what is applied is, too.
func (r *Replica) Committed() uint64 { return r.hard.commit }

// change applies a configuration change as the library does.
func change(c confchange.Changer, cc *raftpb.ConfChangeV2) (tracker.Config, tracker.ProgressMap, error) {
	if cc.LeaveJoint() {
		return c.LeaveJoint()
	}
	if auto, joint := cc.EnterJoint(); joint {
		return c.EnterJoint(auto, cc.Changes...)
	}
	return c.Simple(cc.Changes...)
}
