package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/rpc"
)

type metrics struct {
	rpc.Counters
	advances, torn         prometheus.Counter
	cacheHits, cacheMisses prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, leaderless func() float64, stalled func() int) metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	routed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pxkv_requests_routed_total",
		Help: "Attempts at requests on one key, by whether the leader was here or on another node.",
	}, []string{"to"})
	m := metrics{
		Counters: rpc.Counters{
			Local: routed.WithLabelValues("local"), Forwarded: routed.WithLabelValues("forwarded"),
			Retries: counter("pxkv_request_retries_total",
				"Requests tried again because they were certainly not done."),
			Malformed: counter("pxkv_peer_malformed_total",
				"Frames and requests from other nodes that could not be understood."),
			Relayed: counter("pxkv_requests_relayed_total",
				"Requests of this node that a third node passed on, since the one asked could not be reached."),
		},
		advances: counter("pxkv_reads_at_deadline_total",
			"Reads that brought a group's time forward, because they met a key whose deadline had just come."),
		torn: counter("pxkv_reads_torn_total",
			"Times that several keys of a partition were read again, because it changed while they were read "+
				"one by one."),
	}
	cached := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pxkv_cache_lookups_total",
		Help: "Reads of single keys by the leader, by whether the value cache had the key.",
	}, []string{"result"})
	m.cacheHits, m.cacheMisses = cached.WithLabelValues("hit"), cached.WithLabelValues("miss")
	if reg != nil {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pxkv_departures_stalled",
			Help: "Members on their way out of the cluster that have made no progress for a minute, at the node that " +
				"leads the cluster's own group.",
		}, func() float64 { return float64(stalled()) }))
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pxkv_partitions_leaderless",
			Help: "Partitions for which this node knows no leader that it can ask: what it cannot serve.",
		}, leaderless))
		reg.MustRegister(cached, routed, m.Retries, m.Malformed, m.advances, m.Relayed, m.torn)
	}
	return m
}
