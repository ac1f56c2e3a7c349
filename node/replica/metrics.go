package replica

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

type loopMetrics struct{ dropped, refused prometheus.Counter }

// newLoopMetrics registers the Host's figures. With a nil Registerer they are counted for
// nobody.
func newLoopMetrics(reg prometheus.Registerer, s *Stats) loopMetrics {
	m := loopMetrics{
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pxkv_raft_messages_dropped_total", Help: "Raft messages dropped because the loop was too far behind.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pxkv_raft_frames_refused_total", Help: "Raft frames that could not be queued for their peer.",
		}),
	}
	if reg == nil {
		return m
	}
	total := func(name, help string, v *atomic.Int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(v.Load()) })
	}
	gauge := func(name, help string, v *atomic.Int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(v.Load()) })
	}
	reg.MustRegister(
		m.dropped, m.refused,
		total("pxkv_raft_proposals_total", "Log entries proposed on this node.", &s.Proposed),
		total("pxkv_raft_commands_total", "Commands in those entries; divided by proposals it is the batch size.", &s.Commands),
		total("pxkv_raft_entries_appended_total", "Log entries appended on this node.", &s.Appended),
		total("pxkv_raft_entries_applied_total", "Log entries applied on this node.", &s.Applied),
		total("pxkv_raft_read_rounds_total", "ReadIndex rounds started: reads without a lease, and renewals of leases.", &s.ReadRounds),
		total("pxkv_keys_expired_total", "Keys whose deadline passed and that were deleted, counted by the leader of their partition.", &s.Expired),
		total("pxkv_purge_entries_total", "Log entries applied on this node that delete expired keys.", &s.Purges),
		gauge("pxkv_groups", "Replicas on this node.", &s.Groups),
		gauge("pxkv_groups_leading", "Replicas on this node that lead their group.", &s.Leaders),
		gauge("pxkv_groups_with_lease", "Led groups that serve reads without asking a majority.", &s.Leases),
		gauge("pxkv_apply_lag_entries", "Entries known to be committed and not yet applied, over all groups.", &s.ApplyLag),
	)
	return m
}
