package node

import (
	"context"
	"encoding/binary"
	"encoding/json"

	"pxkv/node/kv"
	"pxkv/node/replica"
	"pxkv/node/rpc"
)

// witnessMethod asks a member what it knows of another one, which is to be replaced.
var witnessMethod = rpc.Method[*Node, kv.NodeID, replica.Witness]{
	Kind: reqWitness,
	Encode: func(former kv.NodeID, _ int) []byte {
		return binary.BigEndian.AppendUint64(rpc.NewRequest(8), uint64(former))
	},
	Decode: func(_ *Node, _ kv.NodeID, d kv.Decoder) (kv.NodeID, error) {
		if len(d.Rest()) != 8 {
			return 0, rpc.ErrMalformed
		}
		return kv.NodeID(binary.BigEndian.Uint64(d.Rest())), nil
	},
	Here:         (*Node).witnessHere,
	EncodeAnswer: func(w replica.Witness) []byte { return encodeJSON(w) },
	DecodeAnswer: func(_ kv.NodeID, d kv.Decoder) (w replica.Witness, ok bool) {
		err := json.Unmarshal(d.Rest(), &w)
		return w, err == nil
	},
}

// witness asks one member, or this node.
func (n *Node) witness(ctx context.Context, of, former kv.NodeID) (replica.Witness, *kv.Error) {
	if of == n.o.ID {
		return n.witnessHere(ctx, former)
	}
	return witnessMethod.AskNode(ctx, n.client, of, former)
}

func (n *Node) witnessHere(ctx context.Context, former kv.NodeID) (replica.Witness, *kv.Error) {
	var w replica.Witness // written by the loop, perhaps after ctx has ended
	if err := n.o.Loop.Do(ctx, func(h *replica.Host) {
		w = h.Witness(former, n.departed.has(former))
	}); err != nil {
		return replica.Witness{}, kv.Errorf(kv.Unavailable, "node %s: %v", n.o.Name, err)
	}
	if n.o.Sight.Alive(former) {
		w.Silence = 0
	}
	return w, nil
}

// encodeJSON makes an answer of what is rare and small.
func encodeJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return rpc.EncodeError(kv.Errorf(kv.Internal, "encode an answer: %v", err))
	}
	return append(rpc.NewAnswer(len(b)), b...)
}
