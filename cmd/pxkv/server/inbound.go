package server

import (
	"context"
	"errors"
	"io"
	"time"

	"pxkv/node/kv"
	"pxkv/node/replica"
	"pxkv/transport/peer"
)

// inbound gives what arrives from other nodes to the node. It knows both sides, so that
// neither has to know the other.
type inbound struct{ s *Server }

// HandleFrame implements peer.Handler. Frames are for members only.
func (h inbound) HandleFrame(from peer.Remote, frame []byte) error {
	if from.Cluster == 0 || !h.s.links.joined() {
		return nil
	}
	return h.s.node.HandleFrame(from.Node, frame)
}

// HandleRequest implements peer.Handler.
func (h inbound) HandleRequest(from peer.Remote, kind uint8, deadline time.Time, payload []byte,
	reply func([]byte, error)) {
	h.s.node.HandleRequest(from.Node, kind, deadline, payload, reply)
}

// HandleSnapshot implements peer.Handler.
func (h inbound) HandleSnapshot(ctx context.Context, from peer.Remote, header []byte, body io.Reader) error {
	if from.Cluster == 0 || !h.s.links.joined() {
		return errors.New("snapshots are for members only: the sender or the receiver is in no cluster yet")
	}
	return h.s.loop.ReceiveSnapshot(ctx, from.Node, header, body)
}

// HandleDisconnect implements peer.Handler.
func (h inbound) HandleDisconnect(id kv.NodeID, silent bool) {
	h.s.loop.Disconnected(replica.Disconnection{Node: id, Silent: silent})
}

// BatchEnd implements peer.Handler. The loop's inbox wakes the loop once already.
func (h inbound) BatchEnd() {}
