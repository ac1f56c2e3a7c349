package http1

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are about connections. Those about requests are the handler's.
type metrics struct {
	connections prometheus.GaugeFunc
	rejected    prometheus.Counter
	lingering   prometheus.Gauge
}

func newMetrics(openConns func() float64) *metrics {
	return &metrics{
		connections: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pxkv_http_connections", Help: "Open HTTP connections.",
		}, openConns),
		rejected: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pxkv_http_connections_rejected_total",
			Help: "HTTP connections turned away because there were too many.",
		}),
		lingering: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pxkv_http_connections_lingering",
			Help: "HTTP connections whose client was answered before it had sent everything: the rest is thrown away.",
		}),
	}
}

func (m *metrics) register(r prometheus.Registerer) error {
	return errors.Join(r.Register(m.connections), r.Register(m.rejected), r.Register(m.lingering))
}
