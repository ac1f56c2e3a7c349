package gossip

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Reasons why a node's words are refused.
const (
	refusedCluster = "other_cluster"
	refusedMeta    = "bad_meta"
	refusedFull    = "too_many"
)

// metrics counts what gossip sees. They work unregistered, too.
type metrics struct {
	alive    prometheus.GaugeFunc
	changes  *prometheus.CounterVec // by change: up, update, down
	refused  *prometheus.CounterVec // by reason
	joins    *prometheus.CounterVec // by result: ok, failed
	streams  prometheus.Counter
	conflict prometheus.Counter
}

func newMetrics(r prometheus.Registerer, alive func() float64) (*metrics, error) {
	m := &metrics{
		alive: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pxkv_gossip_peers_alive", Help: "Other nodes that gossip holds alive."}, alive),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pxkv_gossip_peer_changes_total",
			Help: "Peers that appeared (up), changed what they say (update) or went (down)."}, []string{"change"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pxkv_gossip_refused_total", Help: "Words of other nodes that were refused, by reason."},
			[]string{"reason"}),
		joins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pxkv_gossip_joins_total", Help: "Attempts to reach a join or member address, by result."},
			[]string{"result"}),
		streams: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pxkv_gossip_streams_refused_total",
			Help: "Incoming connections closed because too many were open."}),
		conflict: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pxkv_gossip_address_conflicts_total", Help: "Times that one node id was heard at two addresses."}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.alive, m.changes, m.refused, m.joins, m.streams, m.conflict} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of gossip: %w", err)
		}
	}
	return m, nil
}
