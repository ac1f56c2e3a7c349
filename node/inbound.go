package node

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/replica"
)

// HandleFrame takes a raft frame from another node.
func (n *Node) HandleFrame(from kv.NodeID, frame []byte) {
	room := decoded.Get().(*[]replica.Message)
	ms, err := replica.DecodeFrame((*room)[:0], from, frame)
	if err != nil {
		n.metrics.malformed.Inc()
		n.log.Warn("raft frame refused", "from", from.String(), "err", err)
		return
	}
	n.o.Loop.Deliver(ms)
	if clear(ms); cap(ms) <= maxDecoded {
		*room = ms
		decoded.Put(room)
	}
}

// decoded lends room for the messages of a frame, which the loop takes copies of.
var decoded = sync.Pool{New: func() any { return new([]replica.Message) }}

// maxDecoded is how many messages a room may have to be kept.
const maxDecoded = 1024

// HandleRequest answers another node. It never forwards: who asks the wrong node is told who
// leads. reply is called exactly once, maybe later.
func (n *Node) HandleRequest(from kv.NodeID, kind uint8, deadline time.Time, payload []byte, reply func([]byte, error)) {
	if n.stop.Load() {
		reply(encodeError(n.errStopping()), nil)
		return
	}
	switch kind {
	case reqWrite:
		n.answerWrite(payload, reply)
	case reqRead:
		n.answerRead(deadline, payload, reply)
	case reqScan:
		n.answerScan(deadline, payload, reply)
	case reqWalk:
		n.answerWalk(deadline, payload, reply)
	case reqMeta:
		n.answerMeta(from, payload, reply)
	case reqSteps:
		n.answerSteps(deadline, payload, reply)
	case reqCount:
		n.answerCount(deadline, payload, reply)
	case reqLeading:
		reply(n.leading(), nil)
	default:
		n.refuse(reply, fmt.Errorf("request of unknown kind %d: is this node of an older version?", kind))
	}
}

// answer runs f, which replies, on a goroutine of its own. Its context ends at the request's
// deadline, or when this node stops.
func (n *Node) answer(deadline time.Time, reply func([]byte, error), f func(context.Context)) {
	if !n.answering.enter() {
		reply(encodeError(n.errStopping()), nil)
		return
	}
	go func() {
		defer n.answering.leave()
		ctx, cancel := context.WithDeadline(n.life, deadline)
		defer cancel()
		f(ctx)
	}()
}

// door counts the answers under way that read the store on goroutines of their own, so that a
// stopping node can wait for the last of them before it closes the store.
type door struct {
	mu     sync.RWMutex
	closed bool
	inside sync.WaitGroup
}

// enter reports whether the door is open; leave must follow then.
func (d *door) enter() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if !d.closed {
		d.inside.Add(1)
	}
	return !d.closed
}

func (d *door) leave() { d.inside.Done() }

// close lets nobody in any more and waits until all have left.
func (d *door) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.inside.Wait()
}

func (n *Node) errStopping() *kv.Error {
	return kv.Errorf(kv.Unavailable, "node %s is shutting down", n.o.Name)
}

// refuse answers what no sound node sends.
func (n *Node) refuse(reply func([]byte, error), err error) {
	n.metrics.malformed.Inc()
	reply(nil, err)
}

// maxMetaBytes is several times what a node can have to say of itself. Longer commands would
// be refused as well, but only when they are in the log.
const maxMetaBytes = 64 << 10

// answerMeta proposes a command of the meta group for another node. Only the commands by
// which a node speaks for itself are taken, and only from that node.
func (n *Node) answerMeta(from kv.NodeID, payload []byte, reply func([]byte, error)) {
	if len(payload) > maxMetaBytes {
		n.refuse(reply, fmt.Errorf("meta command of %d bytes from node %s refused: the limit is %d bytes", len(payload), from, maxMetaBytes))
		return
	}
	who, err := meta.Speaker(payload)
	switch {
	case err != nil:
		n.refuse(reply, fmt.Errorf("meta command from node %s refused: %w", from, err))
		return
	case who != from:
		n.refuse(reply, fmt.Errorf("meta command from node %s refused: it speaks for node %s", from, who))
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
