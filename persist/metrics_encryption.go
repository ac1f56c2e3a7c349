package persist

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/persist/crypt"
)

// usageAge is how old the numbers of files may be: each look opens all of them.
const usageAge = 10 * time.Second

// cryptCollector shows how far a rotation is.
type cryptCollector struct {
	fs                                *crypt.FS
	files, bytes, rotations, rewrites *prometheus.Desc

	mu     sync.Mutex
	usage  crypt.Usage
	looked time.Time
}

func newCryptCollector(fs *crypt.FS) *cryptCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &cryptCollector{
		fs: fs,
		files: desc("pxkv_encryption_files",
			"Files of the data directory by their data key: the current one, or an old one that is being replaced.",
			"key"),
		bytes:     desc("pxkv_encryption_bytes", "Their bytes.", "key"),
		rotations: desc("pxkv_encryption_rotations_total", "Rotations of keys since the start."),
		rewrites:  desc("pxkv_encryption_rewritten_bytes_total", "Bytes rewritten because their data key was old."),
	}
}

// Describe implements prometheus.Collector.
func (c *cryptCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.files, c.bytes, c.rotations, c.rewrites} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *cryptCollector) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.MustNewConstMetric(c.rotations, prometheus.CounterValue, float64(c.fs.Rotations()))
	out <- prometheus.MustNewConstMetric(c.rewrites, prometheus.CounterValue, float64(c.fs.Rewritten()))
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) > usageAge {
		u, err := c.fs.Usage()
		if err != nil {
			return
		}
		c.usage, c.looked = u, time.Now()
	}
	oldFiles, oldBytes := c.usage.Old()
	files, bytes := 0, int64(0)
	for _, k := range c.usage.DataKeys {
		files, bytes = files+k.Files, bytes+k.Bytes
	}
	for _, v := range []struct {
		key   string
		files int
		bytes int64
	}{{"old", oldFiles, oldBytes}, {"current", files - oldFiles, bytes - oldBytes}} {
		out <- prometheus.MustNewConstMetric(c.files, prometheus.GaugeValue, float64(v.files), v.key)
		out <- prometheus.MustNewConstMetric(c.bytes, prometheus.GaugeValue, float64(v.bytes), v.key)
	}
}
