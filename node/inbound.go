package node

import (
	"errors"
	"sync"
	"time"

	"pxkv/node/kv"
	"pxkv/node/replica"
	"pxkv/node/rpc"
)

// HandleFrame takes a raft frame from another node. An error says that nothing which that node writes
// can be read: it is of another version. Other faults are counted and logged, and Raft sends again.
func (n *Node) HandleFrame(from kv.NodeID, frame []byte) error {
	room := decoded.Get().(*[]replica.Message)
	ms, err := replica.DecodeFrame((*room)[:0], from, frame)
	if err != nil {
		n.metrics.Malformed.Inc()
		if errors.Is(err, replica.ErrFrameVersion) {
			return err
		}
		n.log.Warn("raft frame refused", "from", n.o.Names.Of(from), "err", err)
		return nil
	}
	n.o.Loop.Deliver(ms)
	if clear(ms); cap(ms) <= maxDecoded {
		*room = ms
		decoded.Put(room)
	}
	return nil
}

// decoded lends room for the messages of a frame, which the loop takes copies of.
var decoded = sync.Pool{New: func() any { return new([]replica.Message) }}

// maxDecoded is how many messages a room may have to be kept.
const maxDecoded = 1024

// HandleRequest answers another node. Who asks the wrong node is told who leads; only what names
// a third node itself is passed on. reply is called exactly once, maybe later.
func (n *Node) HandleRequest(
	from kv.NodeID, kind uint8, deadline time.Time, payload []byte, reply func([]byte, error),
) {
	n.server.Handle(rpc.Incoming{From: from, Kind: kind, Deadline: deadline, Payload: payload, Reply: reply})
}
