package main

import (
	"context"
	"io"
	"time"

	"pxkv/node/kv"
	"pxkv/transport/peer"
)

// inbound gives what arrives from other nodes to the node. It knows both sides, so that
// neither has to know the other.
type inbound struct{ p *process }

// HandleFrame implements peer.Handler. Frames are for members only.
func (h inbound) HandleFrame(from peer.Remote, frame []byte) {
	if from.Cluster != 0 && h.p.cluster.Load() != 0 {
		h.p.node.HandleFrame(from.Node, frame)
	}
}

// HandleRequest implements peer.Handler.
func (h inbound) HandleRequest(from peer.Remote, kind uint8, deadline time.Time, payload []byte, reply func([]byte, error)) {
	h.p.node.HandleRequest(from.Node, kind, deadline, payload, reply)
}

// HandleSnapshot implements peer.Handler.
func (h inbound) HandleSnapshot(_ context.Context, from peer.Remote, header []byte, body io.Reader) error {
	return h.p.loop.ReceiveSnapshot(from.Node, header, body)
}

// HandleDisconnect implements peer.Handler.
func (h inbound) HandleDisconnect(id kv.NodeID) { h.p.loop.Unreachable(id) }

// BatchEnd implements peer.Handler. The loop's inbox wakes the loop once already.
func (h inbound) BatchEnd() {}

// sight is what gossip sees, for the node.
type sight struct{ p *process }

// Alive implements node.Sight.
func (s sight) Alive(id kv.NodeID) bool { return s.p.gossip.Alive(id) }
