package replica

import (
	"errors"
	"fmt"

	"pxkv/node/entry"
)

// Limits bound what clients and peers can make grow, of one group and of the node. A field that is
// 0 takes its default. Defaults are for a real node; a simulation draws them tiny, so that what
// lies behind a limit is walked all the time. No two nodes need the same.
type Limits struct {
	// EntryBytes is how many bytes of commands are merged into one log entry; one larger command
	// goes alone. 0: 256 KiB.
	EntryBytes int
	// MessageBytes is how many bytes of entries one append message holds; one larger entry goes
	// alone. At most InflightBytes. 0: 256 KiB.
	MessageBytes int
	// FrameBytes is about where a frame ends and the next begins. A peer's queue takes or drops a
	// frame whole, heartbeats included, so one must not hold all that a turn sends to a follower
	// that catches up in many groups. Only a single large entry makes a longer one. 0: 256 KiB.
	FrameBytes int
	// InflightMessages and InflightBytes are how much of its log a leader has under way to one
	// follower of a group; with all groups it must fit a peer's queue. 0: 256 and 1 MiB.
	InflightMessages, InflightBytes int
	// UncommittedBytes is how many bytes of a group's proposals may be uncommitted; beyond it they
	// are refused, certainly not done. One proposal is taken whatever its size. 0: 32 MiB.
	UncommittedBytes int
	// NodeUncommittedBytes is the same of all groups together. 0: 128 MiB.
	NodeUncommittedBytes int
	// JobBytes is how many bytes of entries may wait for the disk beside the job that is under way.
	// Beyond it proposals are refused, certainly not done, and appends are dropped, so that their
	// leader sends them again; what was taken in at once is taken whole. 0: 64 MiB.
	JobBytes int
	// CommittedBytes is how many bytes of a group's entries are applied at once, one entry at
	// least, so that a backlog does not hold up heartbeats. 0: 1 MiB.
	CommittedBytes int
	// ReadyRounds is how often one group gets work done in one turn. 0: 4.
	ReadyRounds int
	// ApplyBytes is how many bytes of entries of all groups, and of values that they touch, one turn
	// applies, and the entry that it has begun: heartbeats must not wait for longer. 0: 4 MiB.
	ApplyBytes int
	// TouchBytes is how many bytes of values an entry touches before what is left of it is put off,
	// and a quarter of what one transaction may: the largest values are 8 MiB, and some fit into each. See
	// node/machine. 0: 64 MiB.
	TouchBytes int
	// WaitingReads is how many reads of a group may wait for a majority's word. Further ones are
	// refused. 0: 16384.
	WaitingReads int
	// ReadRounds is how many times a group asks a majority at once. 0: 4.
	ReadRounds int
	// PurgeKeys is how many records of the expiry index one purge takes, at most 65,536, so that a
	// turn is not held up. 0: 256.
	PurgeKeys int
	// Purges is how many purges this node has under way. 0: 4.
	Purges int
	// Campaigns is for how many groups that have lost their leader with its node this node stands for election at a
	// time. 0: 64.
	Campaigns int
	// NodeLogBytes is the size of the logs of all groups together, unless followers need more: a
	// node that was away for some seconds under full load finds what it missed in them, and needs no
	// snapshots. A group's log is cut at its share, but LeastLogBytes to MostLogBytes; logs that a
	// live follower still needs may grow to four times as much. 0: 256, 1 and 16 MiB.
	NodeLogBytes, LeastLogBytes, MostLogBytes int64
	// Snapshots are the limits of snapshots on their way.
	Snapshots SnapshotLimits
}

// fill gives a limit that is 0 its default, and adds an error for one that is negative.
func fill[T int | int64](errs []error, name string, v *T, def T) []error {
	if *v == 0 {
		*v = def
	}
	if *v < 0 {
		errs = append(errs, fmt.Errorf("limit %s is %d: it must be positive, or 0 for its default", name, *v))
	}
	return errs
}

// withDefaults fills in what is 0, and names everything that cannot be.
func (l Limits) withDefaults() (Limits, error) {
	var errs []error
	errs = fill(errs, "EntryBytes", &l.EntryBytes, 256<<10)
	errs = fill(errs, "MessageBytes", &l.MessageBytes, 256<<10)
	errs = fill(errs, "FrameBytes", &l.FrameBytes, 256<<10)
	errs = fill(errs, "InflightMessages", &l.InflightMessages, 256)
	errs = fill(errs, "InflightBytes", &l.InflightBytes, 1<<20)
	errs = fill(errs, "UncommittedBytes", &l.UncommittedBytes, 32<<20)
	errs = fill(errs, "NodeUncommittedBytes", &l.NodeUncommittedBytes, 128<<20)
	errs = fill(errs, "JobBytes", &l.JobBytes, 64<<20)
	errs = fill(errs, "CommittedBytes", &l.CommittedBytes, 1<<20)
	errs = fill(errs, "ReadyRounds", &l.ReadyRounds, 4)
	errs = fill(errs, "ApplyBytes", &l.ApplyBytes, 4<<20)
	errs = fill(errs, "TouchBytes", &l.TouchBytes, 64<<20)
	errs = fill(errs, "WaitingReads", &l.WaitingReads, 16384)
	errs = fill(errs, "ReadRounds", &l.ReadRounds, 4)
	errs = fill(errs, "PurgeKeys", &l.PurgeKeys, 256)
	errs = fill(errs, "Purges", &l.Purges, 4)
	errs = fill(errs, "Campaigns", &l.Campaigns, 64)
	errs = fill(errs, "NodeLogBytes", &l.NodeLogBytes, 256<<20)
	errs = fill(errs, "LeastLogBytes", &l.LeastLogBytes, 1<<20)
	errs = fill(errs, "MostLogBytes", &l.MostLogBytes, 16<<20)
	if l.MessageBytes > l.InflightBytes {
		errs = append(errs, fmt.Errorf("limit MessageBytes is %d, above InflightBytes, which is %d", l.MessageBytes,
			l.InflightBytes))
	}
	if l.PurgeKeys > entry.MaxPurgeKeys {
		errs = append(errs, fmt.Errorf("limit PurgeKeys is %d, above %d", l.PurgeKeys, entry.MaxPurgeKeys))
	}
	if l.LeastLogBytes > l.MostLogBytes {
		errs = append(errs, fmt.Errorf("limit LeastLogBytes is %d, above MostLogBytes, which is %d", l.LeastLogBytes,
			l.MostLogBytes))
	}
	var err error
	l.Snapshots, err = l.Snapshots.WithDefaults()
	return l, errors.Join(append(errs, err)...)
}

// logBytes is the size in bytes at which the log of one of so many groups is cut.
func (l *Limits) logBytes(groups int) int64 {
	return min(max(l.NodeLogBytes/int64(max(groups, 1)), l.LeastLogBytes), l.MostLogBytes)
}
