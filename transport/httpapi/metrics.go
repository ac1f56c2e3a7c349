package httpapi

import (
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// op says what a request asked for; it labels metrics.
type op uint8

const (
	opOther op = iota
	opGet
	opPut
	opDelete
	opList
	opMatch
	opIncr
	opBatch
	opCluster
	opHealth
	opMetrics
	opDebug
	opLimit
)

var opNames = [opLimit]string{
	"other", "get", "put", "delete", "list", "match", "incr", "batch", "cluster", "health", "metrics", "debug",
}

// outcome says how a request ended; it labels metrics.
type outcome uint8

const (
	outcomeOK outcome = iota
	outcomeNotFound
	outcomeCondition
	outcomeInvalid
	outcomeUnavailable
	outcomeUnknown
	outcomeFull
	outcomeInternal
	outcomeAborted // the answer broke off
	outcomeLimit
)

var outcomeNames = [outcomeLimit]string{
	"ok", "not_found", "condition", "invalid", "unavailable", "unknown", "full", "internal", "aborted",
}

func outcomeOf(status int) outcome {
	switch {
	case status < 400:
		return outcomeOK
	case status == http.StatusNotFound:
		return outcomeNotFound
	case status == http.StatusPreconditionFailed, status == http.StatusConflict:
		return outcomeCondition
	case status < 500:
		return outcomeInvalid
	case status == http.StatusServiceUnavailable:
		return outcomeUnavailable
	case status == http.StatusGatewayTimeout:
		return outcomeUnknown
	case status == http.StatusInsufficientStorage:
		return outcomeFull
	}
	return outcomeInternal
}

// metrics are the package's own. The counters of all label pairs are looked up once, so a
// request costs two atomic additions and one histogram observation.
type metrics struct {
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	panics   prometheus.Counter

	counters  [opLimit][outcomeLimit]prometheus.Counter
	observers [opLimit]prometheus.Observer
}

func newMetrics() *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pxkv_http_requests_total", Help: "HTTP requests by operation and outcome.",
		}, []string{"op", "outcome"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pxkv_http_request_seconds", Help: "Time from a request's headers to the end of its answer.",
			Buckets: []float64{
				1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
			},
		}, []string{"op"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pxkv_http_in_flight_requests", Help: "HTTP requests being answered.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pxkv_http_panics_total",
			Help: "HTTP requests that ended early because of a mistake in this program.",
		}),
	}
	for o, name := range opNames {
		m.observers[o] = m.latency.WithLabelValues(name)
		for end, outcome := range outcomeNames {
			m.counters[o][end] = m.requests.WithLabelValues(name, outcome)
		}
	}
	return m
}

func (m *metrics) register(r *prometheus.Registry) error {
	var faults []error
	for _, c := range []prometheus.Collector{m.requests, m.latency, m.inFlight, m.panics} {
		faults = append(faults, r.Register(c))
	}
	return errors.Join(faults...)
}

func (m *metrics) observe(o op, end outcome, took time.Duration) {
	m.counters[o][end].Inc()
	m.observers[o].Observe(took.Seconds())
}
