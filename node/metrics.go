package node

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	local, forwarded, retries, malformed prometheus.Counter
	advances                             prometheus.Counter
	cacheHits, cacheMisses               prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) metrics {
	routed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pxkv_requests_routed_total", Help: "Attempts at requests on one key, by whether the leader was here or on another node.",
	}, []string{"to"})
	m := metrics{
		local: routed.WithLabelValues("local"), forwarded: routed.WithLabelValues("forwarded"),
		retries:   prometheus.NewCounter(prometheus.CounterOpts{Name: "pxkv_request_retries_total", Help: "Requests tried again because they were certainly not done."}),
		malformed: prometheus.NewCounter(prometheus.CounterOpts{Name: "pxkv_peer_malformed_total", Help: "Frames and requests from other nodes that could not be understood."}),
	}
	m.advances = prometheus.NewCounter(prometheus.CounterOpts{Name: "pxkv_reads_at_deadline_total", Help: "Reads that brought a group's time forward, because they met a key whose deadline had just come."})
	cached := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pxkv_cache_lookups_total", Help: "Reads of single keys by the leader, by whether the value cache had the key.",
	}, []string{"result"})
	m.cacheHits, m.cacheMisses = cached.WithLabelValues("hit"), cached.WithLabelValues("miss")
	if reg != nil {
		reg.MustRegister(cached, routed, m.retries, m.malformed, m.advances)
	}
	return m
}
