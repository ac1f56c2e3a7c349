package persist

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of one DB. A nil one keeps none.
type metrics struct {
	registry   prometheus.Registerer
	registered []prometheus.Collector
	syncs      prometheus.Histogram
	batches    *prometheus.HistogramVec
	snapshots  *prometheus.CounterVec
	movedBytes prometheus.Counter
	pebble     *pebbleCollector
}

// newMetrics makes them, which register shows.
func newMetrics(db *DB) *metrics {
	if db.opts.Metrics == nil {
		return nil
	}
	m := &metrics{
		registry: db.opts.Metrics,
		syncs: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "pxkv_disk_sync_seconds",
			Help:    "How long a log batch took to be on disk, its fsync included.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 2, 18),
		}),
		batches: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "pxkv_disk_batch_bytes",
			Help:    "Size of the batches written: log (entries, hard states) and effects (applied data).",
			Buckets: prometheus.ExponentialBuckets(64, 4, 10),
		}, []string{"batch"}),
		snapshots: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pxkv_disk_snapshot_bytes_total",
			Help: "Bytes of snapshot streams read from this disk (out) and written to it (in).",
		}, []string{"direction"}),
		movedBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pxkv_disk_log_moved_bytes_total",
			Help: "Bytes of log entries that were written once more, so that old segments could be removed.",
		}),
		pebble: newPebbleCollector(db),
	}
	for _, label := range []string{"log", "effects"} {
		m.batches.WithLabelValues(label) // shown from the start
	}
	for _, label := range []string{"in", "out"} {
		m.snapshots.WithLabelValues(label)
	}
	return m
}

func (m *metrics) register() error {
	if m == nil {
		return nil
	}
	all := []prometheus.Collector{m.syncs, m.batches, m.snapshots, m.movedBytes, m.pebble}
	if m.pebble.db.crypt != nil {
		all = append(all, newCryptCollector(m.pebble.db.crypt))
	}
	for _, c := range all {
		if err := m.registry.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
		m.registered = append(m.registered, c)
	}
	return nil
}

func (m *metrics) unregister() {
	if m == nil {
		return
	}
	for _, c := range m.registered {
		m.registry.Unregister(c)
	}
	m.registered = nil
	m.pebble.close()
}

// Committed implements raftlog.Metrics.
func (m *metrics) Committed(bytes int, began time.Time) {
	if m == nil {
		return
	}
	m.batches.WithLabelValues("log").Observe(float64(bytes))
	if !began.IsZero() {
		m.syncs.Observe(time.Since(began).Seconds())
	}
}

// Moved implements raftlog.Metrics.
func (m *metrics) Moved(bytes int) {
	if m != nil {
		m.movedBytes.Add(float64(bytes))
	}
}

// Effects implements data.Metrics.
func (m *metrics) Effects(bytes int) {
	if m != nil {
		m.batches.WithLabelValues("effects").Observe(float64(bytes))
	}
}

// SnapshotBytes implements data.Metrics.
func (m *metrics) SnapshotBytes(direction string, n int64) {
	if m != nil {
		m.snapshots.WithLabelValues(direction).Add(float64(n))
	}
}
