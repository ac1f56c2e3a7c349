package load

import (
	"errors"
	"fmt"
	"time"
)

// Mode is what the connections do.
type Mode string

const (
	Put Mode = "put" // write random keys
	Get Mode = "get" // read random keys
	Mix Mode = "mix" // Config.ReadPercent of reads, the rest writes
)

// Distribution is how keys are drawn.
type Distribution string

const (
	Uniform Distribution = "uniform" // every key alike
	Zipf    Distribution = "zipf"    // few keys get most requests: rank r with weight (1+r)^-1.1
)

// Target is what is at the other end.
type Target string

const (
	PxkvRaw  Target = "pxkv"      // PUT and GET /kv/{key}: the value is the body
	PxkvJSON Target = "pxkv-json" // PUT /kv {"key","value"} and GET /kv?key=
	Etcd     Target = "etcd"      // POST /v3/kv/put and /v3/kv/range, linearizable
	RawGet   Target = "raw"       // GET of the server's URL as it is given
)

const (
	maxConnections = 10_000
	maxKeys        = 100_000_000
	maxSize        = 64 << 20
)

// Config describes one measurement.
type Config struct {
	Target      Target
	Mode        Mode
	Servers     []string      // base URLs; connections are dealt to them in turn
	Connections int           // one goroutine and one TCP connection each
	Duration    time.Duration // how long to measure; ignored when Requests is set
	Requests    uint64        // how many requests to measure; 0 measures Duration
	Warmup      time.Duration // the same load before, not counted
	Prepare     bool          // write every key once first
	Keys        int           // how many different keys
	Size        int           // bytes of a value
	Dist        Distribution
	ReadPercent int           // 0 to 100, for Mix
	Timeout     time.Duration // the longest silence of a server before a request has failed
	Seed        uint64        // same seed, same keys and values in the same order per connection
}

// Validate reports every fault of c at once.
func (c *Config) Validate() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(c.Target == PxkvRaw || c.Target == PxkvJSON || c.Target == Etcd || c.Target == RawGet,
		"unknown target %q", c.Target)
	check(c.Mode == Put || c.Mode == Get || c.Mode == Mix, "unknown mode %q: want put, get or mix", c.Mode)
	check(c.Target != RawGet || c.Mode == Get && !c.Prepare, "target raw can only get, and has nothing to prepare")
	check(c.Dist == Uniform || c.Dist == Zipf, "unknown distribution %q: want uniform or zipf", c.Dist)
	check(len(c.Servers) > 0, "no server given")
	for _, s := range c.Servers {
		if _, err := parseServer(s); err != nil {
			faults = append(faults, err)
		}
	}
	check(c.Connections >= 1 && c.Connections <= maxConnections, "connections must be 1 to %d, not %d", maxConnections,
		c.Connections)
	check(c.Requests > 0 || c.Duration > 0, "give a duration or a number of requests above 0")
	check(c.Warmup >= 0, "the warm-up cannot be negative")
	check(c.Keys >= 1 && c.Keys <= maxKeys, "keys must be 1 to %d, not %d", maxKeys, c.Keys)
	check(c.Size >= 0 && c.Size <= maxSize, "the size must be 0 to %d bytes, not %d", maxSize, c.Size)
	check(c.ReadPercent >= 0 && c.ReadPercent <= 100, "the percentage of reads must be 0 to 100, not %d", c.ReadPercent)
	check(c.Timeout > 0, "the timeout must be above 0")
	return errors.Join(faults...)
}
