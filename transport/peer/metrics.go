package peer

import (
	"fmt"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// traffic counts what a peer costs. Counters are plain atomics, moved once per write or
// read; Prometheus reads them when it asks.
type traffic struct {
	sentBytes, sentMessages, writes atomic.Uint64
	receivedBytes, receivedMessages atomic.Uint64
	droppedFrames, droppedReplies   atomic.Uint64
	dials                           atomic.Uint64
}

var (
	descQueue       = describe("queue_bytes", "Bytes queued for the peer, replies included.")
	descSentBytes   = describe("sent_bytes_total", "Bytes written to links with the peer.")
	descSent        = describe("sent_messages_total", "Messages written to links with the peer.")
	descWrites      = describe("writes_total", "Writes to links with the peer; each carries many messages under load.")
	descRecvBytes   = describe("received_bytes_total", "Bytes read from links with the peer.")
	descRecv        = describe("received_messages_total", "Messages read from links with the peer.")
	descDropped     = describe("dropped_frames_total", "Raft frames for the peer that were dropped.")
	descDropReplies = describe("dropped_replies_total", "Answers to the peer that were too many or too long to keep.")
	descDials       = describe("dials_total", "Attempts to connect to the peer.")
	descConnected   = describe("connected", "Links with the peer, 0 while it is not connected.")
	descRefused     = describe("refused",
		"1 while connections with the peer are refused in the handshake, by either side; the log and status say why.")
	descInFlight = describe("requests_in_flight", "Requests to the peer that wait for an answer.")
	descRTT      = describe("rtt_seconds", "Round trip of the last ping.")
)

func describe(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("pxkv_peer_"+name, help, []string{"peer", "name"}, nil)
}

// register adds the transport to the registry of the options, if there is one.
func (t *Transport) register() (unregister func(), err error) {
	if t.opt.Metrics == nil {
		return func() {}, nil
	}
	c := collector{t}
	if err := t.opt.Metrics.Register(c); err != nil {
		return nil, fmt.Errorf("peer transport: register metrics: %w", err)
	}
	return func() { t.opt.Metrics.Unregister(c) }, nil
}

// collector shows a Transport to Prometheus.
type collector struct{ t *Transport }

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descQueue, descSentBytes, descSent, descWrites, descRecvBytes, descRecv,
		descDropped, descDropReplies, descDials, descConnected, descRefused, descInFlight, descRTT} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	for id, p := range *c.t.peers.Load() {
		p.mu.Lock()
		queued, connected, inFlight, rtt, refused := p.outBytes, 0, p.calls.inFlight, int64(0), 0.0
		for _, l := range p.links {
			queued += int(l.replyBytes.Load())
			if !l.dead {
				connected++
			}
			if l == p.current {
				rtt = l.rtt.Load()
			}
		}
		if p.refused != "" {
			refused = 1
		}
		p.mu.Unlock()

		peer, name := id.String(), ""
		if c.t.opt.Names != nil {
			name = c.t.opt.Names(id)
		}
		gauge := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, peer, name)
		}
		counter := func(d *prometheus.Desc, v *atomic.Uint64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v.Load()), peer, name)
		}
		gauge(descQueue, float64(queued))
		gauge(descConnected, float64(connected))
		gauge(descRefused, refused)
		gauge(descInFlight, float64(inFlight))
		if rtt > 0 {
			gauge(descRTT, float64(rtt)/1e9)
		}
		counter(descSentBytes, &p.traffic.sentBytes)
		counter(descSent, &p.traffic.sentMessages)
		counter(descWrites, &p.traffic.writes)
		counter(descRecvBytes, &p.traffic.receivedBytes)
		counter(descRecv, &p.traffic.receivedMessages)
		counter(descDropped, &p.traffic.droppedFrames)
		counter(descDropReplies, &p.traffic.droppedReplies)
		counter(descDials, &p.traffic.dials)
	}
}
