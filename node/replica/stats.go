package replica

import (
	"slices"
	"sync/atomic"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"pxkv/node/kv"
)

// Stats are running totals and, measured twice a second, gauges of a Host. They may be read
// from any goroutine.
type Stats struct {
	Proposed   atomic.Int64 // entries proposed here
	Commands   atomic.Int64 // commands in them
	Appended   atomic.Int64 // entries appended to logs
	Applied    atomic.Int64 // entries applied
	Held       atomic.Int64 // proposals refused and appends dropped since too much waits
	Touched    atomic.Int64 // bytes of values that applied entries read and wrote
	PutOff     atomic.Int64 // commands and transactions that were proposed again, since their entry touched enough
	ReadRounds atomic.Int64 // ReadIndex rounds started
	Expired    atomic.Int64 // keys deleted by purges, counted where the group is led
	Purges     atomic.Int64 // purge entries applied
	Diverged   atomic.Int64 // replicas that were the odd one out

	Groups   atomic.Int64 // replicas on this node
	Leaders  atomic.Int64 // of which lead
	Short    atomic.Int64 // groups led here of which fewer replicas are whole than the placement wants
	ApplyLag atomic.Int64 // committed entries not yet applied, over all groups
	Leases   atomic.Int64 // groups with a lease
	AtRest   atomic.Int64 // replicas whose group rests
	Doubtful atomic.Int64 // replicas that differ from another one, and do not know which is right
	Void     atomic.Int64 // replicas that wait to be rebuilt

	SnapshotsSent    atomic.Int64           // staged by their receivers
	SnapshotsFailed  [failures]atomic.Int64 // by kind: see FailedSnapshots
	SnapshotsOut     atomic.Int64           // under way from this node
	SnapshotsWaiting atomic.Int64           // wanted by followers, and not under way
	SnapshotsIn      atomic.Int64           // arriving
}

// FailedSnapshots yields how many snapshots of this node were of no use, by reason.
func (s *Stats) FailedSnapshots(yield func(reason string, failed *atomic.Int64) bool) {
	for i, name := range failureNames {
		if !yield(name, &s.SnapshotsFailed[i]) {
			return
		}
	}
}

// Stats returns the Host's figures.
func (h *Host) Stats() *Stats { return &h.stats }

func (s *Stats) measure(h *Host) {
	var leaders, lag, leases, doubtful, void int64
	for _, g := range h.groups.ordered {
		if g.trust.doubt != nil {
			doubtful++
		}
		if g.trust.void {
			void++
		}
		if g.leads() {
			leaders++
		}
		if g.handle.leaseUntil.Load() > int64(h.clock.Boot) {
			leases++
		}
		if applied := g.applied.Index; g.raft.commit > applied {
			lag += int64(g.raft.commit - applied)
		}
	}
	s.Groups.Store(int64(len(h.groups.ordered)))
	s.AtRest.Store(int64(len(h.groups.ordered) - len(h.groups.awake)))
	s.Leaders.Store(leaders)
	s.ApplyLag.Store(lag)
	s.Leases.Store(leases)
	s.Doubtful.Store(doubtful)
	s.Void.Store(void)
	s.SnapshotsOut.Store(int64(len(h.shipping.underWay)))
	s.SnapshotsWaiting.Store(int64(len(h.shipping.waiting)))
	s.SnapshotsIn.Store(int64(h.arrivals.count()))
	if h.clock.ticks%shortTicks == 0 {
		s.Short.Store(h.short())
	}
}

// shortTicks is between two counts of the groups that are short of replicas: a look at every follower.
const shortTicks = 14

// short counts the groups led here that have fewer whole voters than the placement wants replicas.
func (h *Host) short() (n int64) {
	for _, g := range h.groups.ordered {
		if g.leads() && g.p != kv.Meta && g.whole() < len(h.cfg.Policy.Nodes(g.p)) {
			n++
		}
	}
	return n
}

// whole counts the voters, as their leader sees them, that were heard lately and have all of the
// group's data but perhaps the end of its log.
func (g *group) whole() (n int) {
	g.raft.WithProgress(func(id uint64, typ raft.ProgressType, pr tracker.Progress) {
		if typ == raft.ProgressTypePeer && pr.State != tracker.StateSnapshot && pr.Match > 0 &&
			g.active(kv.ReplicaID(id)) && slices.Contains(g.applied.Conf.GetVoters(), id) {
			n++
		}
	})
	return n
}
