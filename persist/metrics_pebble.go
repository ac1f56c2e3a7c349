package persist

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// pebbleCollector shows Pebble's own metrics, read when Prometheus asks.
type pebbleCollector struct {
	db     *DB
	mu     sync.Mutex // held while Pebble is asked, so that it is not closed meanwhile
	closed bool
	gauges []pebbleMetric
	free   *prometheus.Desc
	total  *prometheus.Desc
}

type pebbleMetric struct {
	desc *prometheus.Desc
	typ  prometheus.ValueType
	read func(*pebble.Metrics) float64
}

func newPebbleCollector(db *DB) *pebbleCollector {
	c := &pebbleCollector{
		db: db,
		free: prometheus.NewDesc("pxkv_disk_free_bytes", "Room left in the file system of the data directory.", nil,
			nil),
		total: prometheus.NewDesc("pxkv_disk_total_bytes", "Size of the file system of the data directory.", nil, nil),
	}
	add := func(name, help string, typ prometheus.ValueType, read func(*pebble.Metrics) float64) {
		c.gauges = append(c.gauges, pebbleMetric{prometheus.NewDesc(name, help, nil, nil), typ, read})
	}
	gauge := func(name, help string, read func(*pebble.Metrics) float64) {
		add(name, help, prometheus.GaugeValue, read)
	}
	counter := func(name, help string, read func(*pebble.Metrics) float64) {
		add(name, help, prometheus.CounterValue, read)
	}
	gauge("pxkv_disk_used_bytes", "Disk space that the store takes, its log included.",
		func(m *pebble.Metrics) float64 {
			log, _ := db.Files()
			return float64(m.DiskSpaceUsage()) + float64(log)
		})
	gauge("pxkv_disk_log_bytes", "Size of the log.",
		func(*pebble.Metrics) float64 { bytes, _ := db.Files(); return float64(bytes) })
	gauge("pxkv_disk_log_segments", "Files of the log.",
		func(*pebble.Metrics) float64 { _, segments := db.Files(); return float64(segments) })
	gauge("pxkv_pebble_read_amplification", "Levels and sublevels that a read may have to look at.",
		func(m *pebble.Metrics) float64 { return float64(m.ReadAmp()) })
	gauge("pxkv_pebble_compaction_debt_bytes", "Bytes still to be compacted until the tree is in shape.",
		func(m *pebble.Metrics) float64 { return float64(m.Compact.EstimatedDebt) })
	gauge("pxkv_pebble_compactions_running", "Compactions under way.",
		func(m *pebble.Metrics) float64 { return float64(m.Compact.NumInProgress) })
	counter("pxkv_pebble_compactions_total", "Compactions done.",
		func(m *pebble.Metrics) float64 { return float64(m.Compact.Count) })
	counter("pxkv_pebble_flushes_total", "Write buffers flushed.",
		func(m *pebble.Metrics) float64 { return float64(m.Flush.Count) })
	counter("pxkv_pebble_ingests_total", "Snapshots ingested.",
		func(m *pebble.Metrics) float64 { return float64(m.Ingest.Count) })
	gauge("pxkv_pebble_memtable_bytes", "Memory of the write buffers.",
		func(m *pebble.Metrics) float64 { return float64(m.MemTable.Size) })
	gauge("pxkv_pebble_cache_bytes", "Memory of the block cache.",
		func(m *pebble.Metrics) float64 { return float64(m.BlockCache.Size) })
	counter("pxkv_pebble_cache_hits_total", "Blocks found in the cache.",
		func(m *pebble.Metrics) float64 { return float64(m.BlockCache.Hits) })
	counter("pxkv_pebble_cache_misses_total", "Blocks read from disk.",
		func(m *pebble.Metrics) float64 { return float64(m.BlockCache.Misses) })
	gauge("pxkv_pebble_l0_files", "Tables in the top level.",
		func(m *pebble.Metrics) float64 { return float64(m.Levels[0].TablesCount) })
	gauge("pxkv_pebble_tables", "Tables in all levels.",
		func(m *pebble.Metrics) float64 { return float64(m.Total().TablesCount) })
	return c
}

// close ends reading from Pebble; a scrape may still be under way.
func (c *pebbleCollector) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}

// Describe implements prometheus.Collector.
func (c *pebbleCollector) Describe(out chan<- *prometheus.Desc) {
	for _, g := range c.gauges {
		out <- g.desc
	}
	out <- c.free
	out <- c.total
}

// Collect implements prometheus.Collector.
func (c *pebbleCollector) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	m := c.db.PebbleMetrics()
	for _, g := range c.gauges {
		out <- prometheus.MustNewConstMetric(g.desc, g.typ, g.read(m))
	}
	if free, total, err := c.db.FreeBytes(); err == nil { // in memory there is no such thing
		out <- prometheus.MustNewConstMetric(c.free, prometheus.GaugeValue, float64(free))
		out <- prometheus.MustNewConstMetric(c.total, prometheus.GaugeValue, float64(total))
	}
}
