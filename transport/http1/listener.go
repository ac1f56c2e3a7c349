package http1

import (
	"net/http"
	"sync/atomic"
	"time"

	"pxkv/transport/socket"
)

// listener is where connections come from, and what they share.
type listener struct {
	*socket.Listener
	stall   time.Duration
	reword  Refusal
	metrics *metrics
	lingers chan struct{} // one token for each connection that lingers
	leaving atomic.Bool   // each answer says that its connection ends
}

func newListener(o Options, m *metrics) *listener {
	return &listener{
		Listener: socket.New(socket.Options{
			Address: o.Listen, MaxUnsent: socket.UnsentOfClients, MaxConns: o.Limits.MaxConns,
			Refusal: o.Refusal.answer("HTTP/1.1 503 Service Unavailable", "Retry-After: 1\r\n",
				http.StatusServiceUnavailable, "Too many connections"),
			Refused: m.rejected.Inc,
			Paused: func(err error, pause time.Duration) {
				o.Logger.Warn("HTTP connection not accepted", "error", err, "pause", pause)
			},
		}),
		stall: o.Limits.WriteStall, reword: o.Refusal, metrics: m, lingers: make(chan struct{}, maxLingering),
	}
}
