package autopilot

import (
	"time"

	"pxkv/node/health"
	"pxkv/node/kv"
	"pxkv/node/meta"
)

// Self is what a member says of itself.
type Self struct {
	Version int    `json:"version"` // newest of a cluster that it understands
	Starts  uint64 `json:"starts"`  // of the process that says so
	Zone    string `json:"zone,omitempty"`
	// Epoch is of the newest placement that it knows.
	Epoch kv.Epoch `json:"epoch"`
	// Hosts is how many replicas of partitions it has, wanted or not.
	Hosts int `json:"hosts"`
	// Room is how many bytes its store may still grow by, -1 where there is no limit that it knows.
	Room int64 `json:"room"`
	// Bytes is about how many bytes each partition that it leads takes.
	Bytes map[kv.PartitionID]int64 `json:"bytes,omitempty"`
}

// Facts are what the leader of the meta group knows at one moment.
type Facts struct {
	State *meta.State
	NowMS int64 // wall clock, to be shown
	// Selves are those of the members that were asked and have answered.
	Selves map[kv.NodeID]Self
	// Reports are how the groups are, by the word of their leaders; nil: they were not asked.
	Reports map[kv.PartitionID]health.Report
	// Silence is for how long this node has not heard a member.
	Silence func(kv.NodeID) time.Duration
	// Lately is how long ago whoever is back may have been heard: less than the silence after which any member is given
	// up, or one that was given up would be back at once.
	Lately time.Duration
	// Lost is a member that may be given up: every group has its majority without it, and nobody has heard it for as
	// long as Patience says, as all members said that were asked. 0: there is none, or nobody was asked.
	Lost kv.NodeID
}

// Step is a command to propose, and why, for the log.
type Step struct {
	Command interface{ Encode() []byte }
	Node    kv.NodeID // whom it is about, 0: the cluster
	Why     string
}

// Decide returns what to propose; left is AllLeft. One member changes at a time: the next state may make the other
// steps wrong.
func Decide(f *Facts, left map[kv.NodeID]Remains) []Step {
	drained := func(f *Facts) (Step, bool) { return remove(f, left) }
	for _, next := range []func(*Facts) (Step, bool){upgrade, describe, takeBack, drained, giveUp} {
		if s, ok := next(f); ok {
			return []Step{s}
		}
	}
	return nil
}

// upgradePatience is for how long a member must be silent for the cluster to get a new version without its word: else
// one that is dead for ever would keep the others in the old one, in which it cannot be removed. If it comes back in
// an older release it is refused in words, and goes on when it is upgraded.
const upgradePatience = 10 * time.Minute

// upgrade gives the cluster the next version when all members have said that they understand it.
func upgrade(f *Facts) (Step, bool) {
	to := f.State.ClusterVersion + 1
	if to > meta.NewestVersion {
		return Step{}, false
	}
	for _, m := range f.State.Members {
		self, known := f.Selves[m.ID]
		if !known && f.Silence(m.ID) >= upgradePatience {
			continue
		}
		if !known || self.Version < to || self.Starts < m.Starts {
			return Step{}, false
		}
	}
	return Step{meta.Upgrade{From: f.State.ClusterVersion, To: to}, 0, "all members understand the next version"}, true
}

// describe records what members say of themselves.
func describe(f *Facts) (Step, bool) {
	if f.State.ClusterVersion < meta.VersionDepartures {
		return Step{}, false
	}
	for _, m := range f.State.Members {
		if self, known := f.Selves[m.ID]; known && self.Starts == m.Starts && self.Zone != m.Zone {
			return Step{meta.Describe{ID: m.ID, Starts: m.Starts, Zone: self.Zone}, m.ID, "it has another zone"}, true
		}
	}
	return Step{}, false
}
