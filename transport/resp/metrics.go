package resp

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// outcome says how a command ended; it labels metrics.
type outcome uint8

const (
	outcomeOK          outcome = iota
	outcomeError               // refused: nothing was done, and a retry will not help
	outcomeUnavailable         // certainly not done
	outcomeUnknown
	outcomeFull
	outcomeLimit
)

var outcomeNames = [outcomeLimit]string{"ok", "error", "unavailable", "unknown", "full"}

// metrics are the package's own. A label pair appears with its first use and is looked up once,
// so a command costs two atomic operations, and a pipeline an observation for each run of equal
// commands.
type metrics struct {
	commands       *prometheus.CounterVec
	latency        *prometheus.HistogramVec
	connections    prometheus.GaugeFunc
	accepted       prometheus.Counter
	rejected       prometheus.Counter
	protocolErrors prometheus.Counter
	strangers      prometheus.Counter
	panics         prometheus.Counter

	counters  [][outcomeLimit]atomic.Pointer[prometheus.Counter] // by command.number
	observers []atomic.Pointer[prometheus.Observer]
}

func newMetrics(t *table, connections func() float64) *metrics {
	m := &metrics{
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pxkv_resp_commands_total", Help: "Redis commands by name and outcome.",
		}, []string{"command", "outcome"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pxkv_resp_command_seconds",
			Help: "Time from a command's arrival to its answer; equal commands in a row of one pipeline count once.",
			Buckets: []float64{
				1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
			},
		}, []string{"command"}),
		connections: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pxkv_resp_connections", Help: "Open Redis connections.",
		}, connections),
		accepted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pxkv_resp_connections_total", Help: "Redis connections that were accepted.",
		}),
		rejected: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pxkv_resp_connections_rejected_total",
			Help: "Redis connections turned away because there were too many.",
		}),
		protocolErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pxkv_resp_protocol_errors_total",
			Help: "Connections closed because what they sent is not the Redis protocol.",
		}),
		strangers: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pxkv_resp_http_requests_total",
			Help: "Connections closed because they sent HTTP requests to the Redis port.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pxkv_resp_panics_total", Help: "Connections closed because of a mistake in this program.",
		}),
	}
	m.counters = make([][outcomeLimit]atomic.Pointer[prometheus.Counter], len(t.every))
	m.observers = make([]atomic.Pointer[prometheus.Observer], len(t.every))
	return m
}

func (m *metrics) register(r prometheus.Registerer) error {
	var faults []error
	for _, c := range []prometheus.Collector{
		m.commands, m.latency, m.connections, m.accepted, m.rejected, m.protocolErrors, m.strangers, m.panics,
	} {
		faults = append(faults, r.Register(c))
	}
	return errors.Join(faults...)
}

func (m *metrics) count(cmd *command, end outcome) {
	at := &m.counters[cmd.number][end]
	c := at.Load()
	if c == nil {
		c = new(m.commands.WithLabelValues(cmd.fullName(), outcomeNames[end]))
		at.Store(c)
	}
	(*c).Inc()
}

func (m *metrics) observe(cmd *command, took time.Duration) {
	at := &m.observers[cmd.number]
	o := at.Load()
	if o == nil {
		o = new(m.latency.WithLabelValues(cmd.fullName()))
		at.Store(o)
	}
	(*o).Observe(took.Seconds())
}
