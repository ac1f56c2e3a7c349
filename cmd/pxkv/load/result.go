package load

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// Latencies sums up a Histogram, in milliseconds.
type Latencies struct {
	Count uint64  `json:"count"`
	Mean  float64 `json:"mean_ms"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
}

// Result is what a measurement found.
type Result struct {
	Target      Target            `json:"target"`
	Mode        Mode              `json:"mode"`
	Connections int               `json:"connections"`
	Servers     []string          `json:"servers"`
	Keys        int               `json:"keys"`
	Size        int               `json:"size"`
	Dist        Distribution      `json:"dist"`
	Seconds     float64           `json:"seconds"`
	Throughput  float64           `json:"throughput"` // good answers a second
	Succeeded   uint64            `json:"succeeded"`
	Failed      uint64            `json:"failed"`
	Errors      map[string]uint64 `json:"errors"`    // failed requests by kind
	NotFound    uint64            `json:"not_found"` // of the good answers: reads of absent keys
	BytesRead   uint64            `json:"bytes_read"`
	Latency     Latencies         `json:"latency"`
	Reads       *Latencies        `json:"reads,omitempty"`  // only when there were both
	Writes      *Latencies        `json:"writes,omitempty"` // only when there were both
	Interrupted bool              `json:"interrupted"`
}

func newResult(c *Config, workers []*worker, elapsed time.Duration, interrupted bool) *Result {
	r := &Result{
		Target: c.Target, Mode: c.Mode, Connections: c.Connections, Servers: c.Servers,
		Keys: c.Keys, Size: c.Size, Dist: c.Dist,
		Seconds: elapsed.Seconds(), Errors: make(map[string]uint64), Interrupted: interrupted,
	}
	var reads, writes, all Histogram
	var counted uint64
	for _, w := range workers {
		reads.Merge(&w.reads)
		writes.Merge(&w.writes)
		counted += w.counted
		r.NotFound += w.missing
		r.BytesRead += w.bytes
		for kind, n := range w.errors {
			r.Errors[kind] += n
			r.Failed += n
		}
	}
	all.Merge(&reads)
	all.Merge(&writes)
	r.Succeeded = all.Count()
	r.Latency = summarize(&all)
	if reads.Count() > 0 && writes.Count() > 0 {
		rd, wr := summarize(&reads), summarize(&writes)
		r.Reads, r.Writes = &rd, &wr
	}
	if elapsed > 0 {
		r.Throughput = float64(counted) / elapsed.Seconds()
	}
	return r
}

func summarize(h *Histogram) Latencies {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return Latencies{
		Count: h.Count(), Mean: ms(h.Mean()), Max: ms(h.Max()),
		P50: ms(h.Quantile(0.5)), P90: ms(h.Quantile(0.9)), P99: ms(h.Quantile(0.99)), P999: ms(h.Quantile(0.999)),
	}
}

// WriteText writes r for people.
func (r *Result) WriteText(w io.Writer) error {
	p := &printer{w: w}
	if r.Interrupted {
		p.f("interrupted: the figures so far\n")
	}
	p.f("%s %s: %d connections to %d server(s), %d keys (%s), %d-byte values, %.1f s\n\n",
		r.Target, r.Mode, r.Connections, len(r.Servers), r.Keys, r.Dist, r.Size, r.Seconds)
	p.f("throughput  %.0f/s (%d requests)\n", r.Throughput, r.Succeeded)
	if r.NotFound > 0 {
		p.f("not found   %d (counted above)\n", r.NotFound)
	}
	p.f("errors      %d\n", r.Failed)
	for _, kind := range slices.Sorted(maps.Keys(r.Errors)) {
		p.f("  %-20s %d\n", kind, r.Errors[kind])
	}
	p.f("\n%-10s %9s %9s %9s %9s %9s %9s\n", "latency ms", "p50", "p90", "p99", "p99.9", "max", "mean")
	p.latencies("all", &r.Latency)
	if r.Reads != nil {
		p.latencies("get", r.Reads)
		p.latencies("put", r.Writes)
	}
	return p.err
}

// printer keeps the first error, so that a text of many lines reads as one.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) f(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *printer) latencies(name string, l *Latencies) {
	p.f("%-10s %9.3f %9.3f %9.3f %9.3f %9.3f %9.3f\n", name, l.P50, l.P90, l.P99, l.P999, l.Max, l.Mean)
}
