package loop

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/replica"
)

type metrics struct {
	dropped, refused, relieved prometheus.Counter
	still                      prometheus.Gauge
}

// newMetrics registers the figures of the loop and of its Host. With a nil Registerer they are counted for
// nobody.
func newMetrics(reg prometheus.Registerer, s *replica.Stats) metrics {
	m := metrics{
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pxkv_raft_messages_dropped_total",
			Help: "Raft messages dropped because the loop was too far behind.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pxkv_raft_frames_refused_total", Help: "Raft frames that could not be queued for their peer.",
		}),
		relieved: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pxkv_turns_relieved_total",
			Help: "Times that a write to the disk took long and the turns went on without it, on another goroutine.",
		}),
	}
	m.still = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pxkv_turns_stand_still",
		Help: "1 while the loop that drives all replicas gets no further, as when the disk hangs: the node then only " +
			"passes requests on.",
	})
	if reg == nil {
		return m
	}
	total := func(name, help string, v *atomic.Int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 {
			return float64(v.Load())
		})
	}
	gauge := func(name, help string, v *atomic.Int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			return float64(v.Load())
		})
	}
	reg.MustRegister(
		m.dropped, m.refused, m.relieved, m.still,
		total("pxkv_raft_proposals_total", "Log entries proposed on this node.", &s.Proposed),
		total("pxkv_raft_commands_total", "Commands in those entries; divided by proposals it is the batch size.",
			&s.Commands),
		total("pxkv_raft_entries_appended_total", "Log entries appended on this node.", &s.Appended),
		total("pxkv_raft_entries_applied_total", "Log entries applied on this node.", &s.Applied),
		total("pxkv_touched_bytes_total", "Bytes of values that applied log entries read and wrote.", &s.Touched),
		total("pxkv_put_off_total",
			"Commands and transactions that were proposed again, since what came before them in their log entry "+
				"touched enough bytes of values.", &s.PutOff),
		total("pxkv_raft_held_total",
			"Proposals refused and appends dropped because too much waits for the disk or for a majority.", &s.Held),
		total("pxkv_raft_read_rounds_total", "ReadIndex rounds started: reads without a lease, and renewals of leases.",
			&s.ReadRounds),
		total("pxkv_keys_expired_total",
			"Keys whose deadline passed and that were deleted, counted by the leader of their partition.", &s.Expired),
		total("pxkv_purge_entries_total", "Log entries applied on this node that delete expired keys.", &s.Purges),
		total("pxkv_replicas_diverged_total",
			"Replicas on this node that differed from the majority of their group, or met a damaged value, and were "+
				"rebuilt.", &s.Diverged),
		gauge("pxkv_replicas_in_doubt",
			"Replicas on this node that differ from another one and do not know which of them is right; they "+
				"serve nothing.", &s.Doubtful),
		gauge("pxkv_replicas_void", "Replicas on this node that wait to be rebuilt from their leader.", &s.Void),
		gauge("pxkv_groups", "Replicas on this node.", &s.Groups),
		gauge("pxkv_groups_leading", "Replicas on this node that lead their group.", &s.Leaders),
		gauge("pxkv_partitions_under_replicated",
			"Partitions led here of which fewer replicas are heard and whole than there should be.", &s.Short),
		gauge("pxkv_groups_with_lease", "Led groups that serve reads without asking a majority.", &s.Leases),
		gauge("pxkv_groups_at_rest", "Replicas on this node in whose group nothing happens: its time goes slower.",
			&s.AtRest),
		total("pxkv_snapshots_sent_total", "Snapshots that their receivers have staged.", &s.SnapshotsSent),
		gauge("pxkv_snapshots_out", "Snapshots under way from this node.", &s.SnapshotsOut),
		gauge("pxkv_snapshots_waiting",
			"Snapshots that followers wait for: for a place, or because the last one failed.", &s.SnapshotsWaiting),
		gauge("pxkv_snapshots_in", "Snapshots that are arriving at this node.", &s.SnapshotsIn),
		gauge("pxkv_apply_lag_entries", "Entries known to be committed and not yet applied, over all groups.",
			&s.ApplyLag),
	)
	for reason, failed := range s.FailedSnapshots {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "pxkv_snapshots_failed_total", Help: "Snapshots of this node that were of no use, by reason.",
			ConstLabels: prometheus.Labels{"reason": reason},
		}, func() float64 { return float64(failed.Load()) }))
	}
	return m
}
