package node

import (
	"context"
	"fmt"
	"time"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/replica"
	"pxkv/node/rpc"
)

// introduceMethod asks for a command of the meta group by which the node that asks speaks for itself. Nodes ask others
// by askMeta, which knows nothing of partitions.
var introduceMethod = rpc.Method[*Node, []byte, []byte]{
	Kind: reqMeta, Direct: true, Bare: true,
	Decode:       (*Node).decodeMeta,
	Here:         (*Node).metaHere,
	Answer:       func(n *Node, command []byte, reply rpc.Reply[[]byte]) { n.takeMeta(command, reply.Send) },
	EncodeAnswer: func(b []byte) []byte { return append(rpc.NewAnswer(len(b)), b...) },
}

// askMetaLimit is how long one node may take to answer.
const askMetaLimit = 3 * time.Second

// askMeta asks a node to propose a command of the meta group.
func (n *Node) askMeta(ctx context.Context, to kv.NodeID, command []byte) ([]byte, *kv.Error) {
	ctx, cancel := context.WithTimeout(ctx, askMetaLimit)
	defer cancel()
	if to == n.o.ID {
		return n.metaHere(ctx, command)
	}
	m := &introduceMethod
	b, err := n.client.Call(ctx, rpc.Request{To: to, Kind: m.Kind, Payload: command, Direct: m.Direct})
	if err != nil {
		return nil, kv.Errorf(kv.Unavailable, "node %s: %v", n.o.Names.Of(to), err)
	}
	d, e := rpc.DecodeAnswer(b)
	if e != nil {
		return nil, e
	}
	return d.Rest(), nil
}

// metaHere proposes a command here, and waits.
func (n *Node) metaHere(ctx context.Context, command []byte) ([]byte, *kv.Error) {
	return awaitMeta(ctx, func(done func([]byte, *kv.Error)) { n.takeMeta(command, done) })
}

// awaitMeta begins something with a command of the meta group, and waits for what is said of it. Nobody knows what
// becomes of it when ctx ends before.
func awaitMeta(ctx context.Context, begin func(done func([]byte, *kv.Error))) ([]byte, *kv.Error) {
	type result struct {
		b []byte
		e *kv.Error
	}
	f := rpc.NewFuture[result]()
	begin(func(b []byte, e *kv.Error) { f.Put(result{b, e}) })
	r, ok := f.Wait(ctx)
	if !ok {
		return nil, kv.ErrUnknown()
	}
	return r.b, r.e
}

// maxMetaBytes is several times what a node can have to say of itself. Longer commands would
// be refused as well, but only when they are in the log.
const maxMetaBytes = 64 << 10

// decodeMeta checks a command of another node. Only the commands by which a node speaks for itself are taken, and
// only from that node.
func (n *Node) decodeMeta(from kv.NodeID, d kv.Decoder) ([]byte, error) {
	command := d.Rest()
	if len(command) > maxMetaBytes {
		return nil, fmt.Errorf("meta command of %d bytes from node %s refused: the limit is %d bytes",
			len(command), n.o.Names.Of(from), maxMetaBytes)
	}
	who, err := meta.Speaker(command)
	switch {
	case err != nil:
		return nil, fmt.Errorf("meta command from node %s refused: %w", n.o.Names.Of(from), err)
	case who != from:
		return nil, fmt.Errorf("meta command from node %s refused: it speaks for node %s",
			n.o.Names.Of(from), n.o.Names.Of(who))
	}
	return command, nil
}

// proposeMeta proposes a command to the meta group's replica here, which must lead.
func (n *Node) proposeMeta(command []byte, done func([]byte, *kv.Error)) {
	n.o.Loop.Write(replica.Op{Partition: kv.Meta, Raw: command, Reply: func(r entry.Reply) { done(r.Raw, r.Err) }})
}
