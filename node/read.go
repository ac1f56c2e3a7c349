package node

import (
	"context"
	"encoding/binary"
	"math"

	"pxkv/node/kv"
	"pxkv/node/local"
	"pxkv/node/replica"
	"pxkv/node/rpc"
)

// readMethod asks for one key: the leader of its partition or, where it may be stale, any replica.
var readMethod = rpc.Method[*Node, readRequest, kv.ReadResult]{
	Kind: reqRead, Repeatable: true, OneKey: true,
	Encode: func(r readRequest, room int) []byte { return r.encode(room) },
	Decode: (*Node).decodeRead,
	Here:   (*Node).readHeld, Answer: (*Node).answerRead,
	EncodeAnswer: func(r kv.ReadResult) []byte {
		return r.AppendTo(rpc.NewAnswer(95 + len(r.Item.Value.Data) + len(r.Item.Value.ContentType)))
	},
	DecodeAnswer: func(_ readRequest, d kv.Decoder) (kv.ReadResult, bool) {
		res := d.ReadReadResult()
		return res, d.End() == nil
	},
}

// readRequest is a key that is asked for.
type readRequest struct {
	partition kv.PartitionID
	key       []byte
	opt       kv.ReadOptions // its Part does not travel: see readPart
	most      int            // how long the value may be for which there is room at who asks, 0: any
}

// Read reads one key, wherever its partition is led or, for a stale read, from the nearest
// replica.
func (n *Node) Read(ctx context.Context, key []byte, opt kv.ReadOptions) (kv.ReadResult, error) {
	if err := kv.ValidateKey(key); err != nil {
		return kv.ReadResult{}, err
	}
	p, err := n.locate(key)
	if err != nil {
		return kv.ReadResult{}, err
	}
	ctx, cancel := n.bound(ctx)
	defer cancel()
	r := readRequest{partition: p, key: key, opt: opt}
	switch {
	case opt.Consistency == kv.Stale:
		return n.readStale(ctx, r)
	case opt.Part.Kind != kv.WholeValue:
		return n.readPart(ctx, r)
	}
	return readMethod.Ask(ctx, n.client, n, p, r)
}

// readPart reads a part of a value, which is asked of another node as a step of a batch is.
func (n *Node) readPart(ctx context.Context, r readRequest) (res kv.ReadResult, err error) {
	err = n.client.Try(ctx, r.partition, func(ctx context.Context, to kv.NodeID) (e *kv.Error) {
		if to == n.o.ID {
			n.metrics.Local.Inc()
			res, e = n.readHeld(ctx, r)
			return e
		}
		s := &step{partition: r.partition, keys: []wanted{{key: r.key, part: r.opt.Part}}}
		n.stepThere(ctx, to, s)
		switch {
		case s.err != nil:
			return s.err
		case len(s.read) != 1:
			return kv.Errorf(kv.Internal, "malformed answer from node %s", to)
		}
		res = s.read[0]
		return nil
	})
	return res, err
}

// readHeld reads as the leader, and counts the value on the account of ctx.
func (n *Node) readHeld(ctx context.Context, r readRequest) (kv.ReadResult, *kv.Error) {
	res, e := n.readHere(ctx, r.partition, r.key, r.opt.Part, longestFor(kv.AccountOf(ctx)))
	if e == nil {
		e = hold(ctx, &res)
	}
	return res, e
}

// encode asks for a key. room stands where a stale read has its index, which other reads have no use for: nodes of
// versions before do not look at it.
func (r *readRequest) encode(room int) []byte {
	number := r.opt.MinIndex
	if r.opt.Consistency != kv.Stale {
		number = uint64(room)
	}
	b := append(rpc.NewRequest(15+len(r.key)), byte(r.opt.Consistency))
	b = binary.AppendUvarint(b, number)
	return append(b, r.key...)
}

func (n *Node) decodeRead(_ kv.NodeID, d kv.Decoder) (readRequest, error) {
	r, err := decodeRead(d)
	if err != nil {
		return r, err
	}
	if r.partition, err = n.locate(r.key); err != nil {
		return r, kv.ErrorOf(err)
	}
	return r, nil
}

func decodeRead(d kv.Decoder) (r readRequest, err error) {
	r.opt.Consistency = kv.Consistency(d.Byte())
	number := d.Uvarint()
	r.key = d.Rest()
	if d.Err() != nil || r.opt.Consistency > kv.Stale || kv.ValidateKey(r.key) != nil {
		return readRequest{}, rpc.ErrMalformed
	}
	if r.opt.Consistency == kv.Stale {
		r.opt.MinIndex = number
	} else {
		r.most = int(min(number, math.MaxInt32))
	}
	return r, nil
}

// answerRead reads for another node: on the spot when there is a lease, so that most reads cost no goroutine here.
func (n *Node) answerRead(r readRequest, reply rpc.Reply[kv.ReadResult]) {
	if r.most > 0 {
		reply = reply.Within(r.most + resultBytes)
	}
	h := n.o.Loop.Handle(r.partition)
	switch {
	case h == nil:
		reply.Fail(errNotHere(r.partition))
	case r.opt.Consistency == kv.Stale:
		n.answerStale(h, r, reply)
	default:
		if v, leased := local.Leased(h, n.o.Boot()); leased {
			n.answerLeased(v, r, reply)
			return
		}
		n.answerConfirmed(h, r, reply)
	}
}

func (n *Node) answerLeased(v local.View, r readRequest, reply rpc.Reply[kv.ReadResult]) {
	res, slow, e := n.readAtOnce(v, r.key, kv.Part{}, int64(r.most))
	if !slow {
		reply.Send(res, e)
		return
	}
	n.server.Go(reply.Deadline, func(ctx context.Context) {
		res, due, e := n.readLocal(v, r.key, kv.Part{}, int64(r.most))
		if due {
			res, e = n.readDue(ctx, v, r.key, kv.Part{}, int64(r.most))
		}
		reply.Send(res, e)
	}, reply.Fail)
}

// answerConfirmed reads once a majority has confirmed that the state here is fresh. That is said on the loop's
// goroutine, which must not wait for the disk.
func (n *Node) answerConfirmed(h *replica.Handle, r readRequest, reply rpc.Reply[kv.ReadResult]) {
	if !n.server.Enter() {
		reply.Fail(n.client.ErrStopping())
		return
	}
	n.o.Loop.Read(replica.ReadOp{Partition: r.partition, Reply: func(e *kv.Error) {
		if e != nil {
			reply.Fail(e)
			n.server.Leave()
			return
		}
		go func() {
			defer n.server.Leave()
			v := local.Fresh(h)
			res, due, e := n.readLocal(v, r.key, kv.Part{}, int64(r.most))
			if due {
				ctx, cancel := n.server.Until(reply.Deadline)
				defer cancel()
				res, e = n.readDue(ctx, v, r.key, kv.Part{}, int64(r.most))
			}
			reply.Send(res, e)
		}()
	}})
}
