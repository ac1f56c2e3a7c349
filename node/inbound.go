package node

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/replica"
)

// HandleFrame takes a raft frame from another node.
func (n *Node) HandleFrame(from kv.NodeID, frame []byte) {
	ms, err := replica.DecodeFrame(from, frame)
	if err != nil {
		n.metrics.malformed.Inc()
		n.log.Warn("raft frame refused", "from", from.String(), "err", err)
		return
	}
	n.o.Loop.Deliver(ms)
}

// HandleRequest answers another node. It never forwards: who asks the wrong node is told who
// leads. reply is called exactly once, maybe later.
func (n *Node) HandleRequest(from kv.NodeID, kind uint8, deadline time.Time, payload []byte, reply func([]byte, error)) {
	if n.stop.Load() {
		reply(encodeError(kv.Errorf(kv.Unavailable, "node %s is shutting down", n.o.Name)), nil)
		return
	}
	switch kind {
	case reqWrite:
		n.answerWrite(payload, reply)
	case reqRead:
		n.answerRead(until(deadline), payload, reply)
	case reqScan:
		n.answerScan(until(deadline), payload, reply)
	case reqMeta:
		n.answerMeta(from, payload, reply)
	case reqLeading:
		reply(n.leading(), nil)
	default:
		n.metrics.malformed.Inc()
		reply(nil, fmt.Errorf("request of unknown kind %d: is this node of an older version?", kind))
	}
}

// until is a context that costs nothing: it has a deadline that callees may ask for, and the
// few that wait make a real one of it.
func until(deadline time.Time) context.Context {
	return deadlineContext{context.Background(), deadline}
}

type deadlineContext struct {
	context.Context
	deadline time.Time
}

// Deadline implements context.Context.
func (c deadlineContext) Deadline() (time.Time, bool) { return c.deadline, true }

// answerMeta proposes a command of the meta group for another node. Only the commands by
// which a node speaks for itself are taken, and only from that node.
func (n *Node) answerMeta(from kv.NodeID, payload []byte, reply func([]byte, error)) {
	who, err := meta.Speaker(payload)
	if err != nil || who != from {
		n.metrics.malformed.Inc()
		reply(nil, fmt.Errorf("meta command from node %s refused: %v", from, err))
		return
	}
	n.proposeMeta(n.withDeadFormer(payload), func(b []byte, e *kv.Error) {
		if e != nil {
			reply(encodeError(e), nil)
			return
		}
		reply(append([]byte{answerOK}, b...), nil)
	})
}

// withDeadFormer lets a joining node replace the member of the same name when that one is
// not there any more, as this node sees it.
func (n *Node) withDeadFormer(command []byte) []byte {
	s := n.o.Machine.State()
	if s == nil {
		return command
	}
	return s.ReplacingDead(command, func(id kv.NodeID) bool { return id == n.o.ID || n.o.Sight.Alive(id) })
}

// proposeMeta proposes a command to the meta group's replica here, which must lead.
func (n *Node) proposeMeta(command []byte, done func([]byte, *kv.Error)) {
	n.o.Loop.Write(replica.Op{Partition: kv.Meta, Raw: command, Reply: func(r replica.Reply) { done(r.Raw, r.Err) }})
}

// leading lists the partitions that this node leads.
func (n *Node) leading() []byte {
	b := []byte{answerOK}
	s := n.o.Machine.State()
	if s == nil {
		return b
	}
	for p := range s.Partitions {
		if h := n.o.Loop.Handle(kv.PartitionID(p)); h != nil && h.Leader().Self {
			b = binary.AppendUvarint(b, uint64(p))
		}
	}
	return b
}
