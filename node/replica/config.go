package replica

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.etcd.io/raft/v3"

	"pxkv/node/kv"
	"pxkv/persist"
	"pxkv/persist/raftlog"
)

// Timing of Raft, in ticks. These are the same on every node of every version: mixing
// PreVote or CheckQuorum settings in one group has deadlocked other systems.
const (
	ElectionTicks  = 10 // a follower campaigns after 10 to 20 ticks without its leader
	heartbeatTicks = 2  // a leader is heard at least so often
	// leaseTicks is the length of a read lease, counted from before the round that earned it
	// was sent. It is two ticks shorter than the election timeout: after a stall a ticker
	// hands out one buffered tick and then the next one on schedule, so that ElectionTicks
	// ticks may span a little more than ElectionTicks-2 intervals.
	leaseTicks = ElectionTicks - 2
	// leaseDrift is the part of a lease given up for clocks that run at different rates.
	leaseDrift = 0.05

	// DefaultTick is the length of a tick: elections start 0.7 to 1.4 s after a leader fell
	// silent, so that writes are back within two seconds.
	DefaultTick = 70 * time.Millisecond
)

// hashHistory is how many applied indexes have their hash remembered for comparison.
const hashHistory = 128

// Policy answers, from the placement this node knows, what a Host may not decide itself.
type Policy interface {
	// Assigned reports whether the meta group gave this replica id to this node.
	Assigned(p kv.PartitionID, id kv.ReplicaID) bool
	// Issued reports whether the meta group has given out this replica id at all, as far as this
	// node knows. Else the id is of a placement that it has not heard of yet.
	Issued(id kv.ReplicaID) bool
	// Nodes lists the nodes that the placement gives a partition to.
	Nodes(p kv.PartitionID) []kv.NodeID
	// Members lists the members, this node included.
	Members() []kv.NodeID
	// Standing tells what is known of a node.
	Standing(kv.NodeID) Standing
}

// Cache is told which keys change, around the moment at which they do: no value read before
// Begin may be kept after End.
type Cache interface {
	Begin(p kv.PartitionID, key []byte)
	// End gives what the key holds now, when this replica leads and did not delete it; else nil.
	// now's data never changes.
	End(p kv.PartitionID, key []byte, now *kv.Item)
	Clear() // everything may have changed
}

// Config says how a Host runs.
type Config struct {
	Node kv.NodeID
	// Incarnation is drawn anew at each process start; it keeps read contexts unique.
	Incarnation uint64
	// Starts is which start of the node this is, 0 when nobody counts.
	Starts uint64
	// Moved says that the data directory is not where it was written, Copied that it was copied from
	// under a process that had not ended in order. See recall.go.
	Moved, Copied bool
	DB            *persist.DB
	// Machine makes the state machine of a partition.
	Machine func(kv.PartitionID) StateMachine
	Policy  Policy
	Cache   Cache // nil: none
	Logger  *slog.Logger
	Names   kv.Names      // how errors and the log name other nodes; nil: by their ids
	Tick    time.Duration // 0: DefaultTick
	// Fresh is true when this process bootstraps a cluster: it made no promise before it
	// started, so it need not sit out an election timeout.
	Fresh bool
	// RestAfter is after how many ticks in which nothing has happened a group rests, at least 1: see rest.go. 0:
	// DefaultRestAfter.
	RestAfter int
	// QuorumReads ends leases: every read batch asks a majority.
	QuorumReads bool
	Limits      Limits
	// OnTick runs at the end of each tick's work, on the goroutine of the turn. It may use
	// every method of the Host.
	OnTick func(*Host)
	// OnChange runs at the end of a turn in which something has happened to these groups for which who moves replicas
	// may have waited: see changes.go. It may use every method of the Host. nil: nobody does.
	OnChange func(*Host, []kv.PartitionID)
	// StateBytes tells about how many bytes the state of a partition has here. It must not take long. nil: none.
	StateBytes func(kv.PartitionID) int64
}

func (c *Config) withDefaults() (Config, error) {
	out := *c
	if out.Tick == 0 {
		out.Tick = DefaultTick
	}
	if out.RestAfter == 0 {
		out.RestAfter = DefaultRestAfter
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	if out.Cache == nil {
		out.Cache = noCache{}
	}
	var errs []error
	if out.Node == 0 {
		errs = append(errs, errors.New("node id is 0"))
	}
	if out.DB == nil || out.Machine == nil || out.Policy == nil {
		errs = append(errs, errors.New("DB, Machine and Policy are required"))
	}
	if out.Tick < time.Millisecond {
		errs = append(errs, fmt.Errorf("tick of %v is shorter than 1ms", out.Tick))
	}
	if out.RestAfter < 0 {
		errs = append(errs, fmt.Errorf("groups rest after %d ticks: it must be 1 at least", out.RestAfter))
	}
	var err error
	out.Limits, err = out.Limits.withDefaults()
	return out, errors.Join(append(errs, err)...)
}

// leaseLength is how long after the start of a confirmed round no other leader can exist.
func (c *Config) leaseLength() time.Duration {
	return time.Duration(float64(leaseTicks*c.Tick) * (1 - leaseDrift))
}

func (c *Config) raft(id kv.ReplicaID, storage *raftlog.Replica, applied uint64) *raft.Config {
	option := raft.ReadOnlySafe // the library's leases are unsafe even with perfect clocks
	if libraryLease {
		option = raft.ReadOnlyLeaseBased
	}
	return &raft.Config{
		ID:                        uint64(id),
		ElectionTick:              ElectionTicks,
		HeartbeatTick:             heartbeatTicks,
		Storage:                   storage,
		Applied:                   applied,
		AsyncStorageWrites:        true,
		MaxSizePerMsg:             uint64(c.Limits.MessageBytes),
		MaxCommittedSizePerReady:  uint64(c.Limits.CommittedBytes),
		MaxUncommittedEntriesSize: uint64(c.Limits.UncommittedBytes),
		MaxInflightMsgs:           c.Limits.InflightMessages,
		MaxInflightBytes:          uint64(c.Limits.InflightBytes),
		CheckQuorum:               true,
		PreVote:                   true,
		ReadOnlyOption:            option,
		Logger: raftLogger{
			c.Logger.With("replica", uint64(id), "partition", storage.Partition().String()),
		},
		DisableProposalForwarding: true,
		StepDownOnRemoval:         true,
	}
}

type noCache struct{}

func (noCache) Begin(kv.PartitionID, []byte)         {}
func (noCache) End(kv.PartitionID, []byte, *kv.Item) {}
func (noCache) Clear()                               {}
