package node

import (
	"context"
	"encoding/json"

	"pxkv/node/kv"
	"pxkv/node/member"
	"pxkv/node/rpc"
)

// greetMethod is how a fresh node asks another what that is: in which cluster, or what it would form one with. It asks
// whom it sees, without waiting (see forming.speak), for there are no members yet.
var greetMethod = rpc.Method[*Node, greetingRequest, member.Words]{
	Kind:         reqForming,
	Decode:       (*Node).decodeGreeting,
	Here:         (*Node).greetHere,
	EncodeAnswer: func(w member.Words) []byte { return encodeJSON(w) },
}

type greetingRequest struct {
	from  kv.NodeID
	words member.Words
}

func (n *Node) decodeGreeting(from kv.NodeID, d kv.Decoder) (greetingRequest, error) {
	if n.membership.Load() == nil {
		return greetingRequest{}, rpc.ErrMalformed
	}
	w, err := decodeWords(d.Rest())
	return greetingRequest{from, w}, err
}

func (n *Node) greetHere(_ context.Context, r greetingRequest) (member.Words, *kv.Error) {
	answer, err := n.membership.Load().forming.asked(r.from, r.words)
	if err != nil {
		return answer, kv.Errorf(kv.Unavailable, "node %s: %v", n.o.Name, err)
	}
	return answer, nil
}

// decodeGreeted reads the whole answer of another node.
func decodeGreeted(b []byte) (w member.Words, err error) {
	d, e := rpc.DecodeAnswer(b)
	if e != nil {
		return w, e
	}
	return decodeWords(d.Rest())
}

func decodeWords(b []byte) (w member.Words, err error) {
	if len(b) >= maxMetaBytes {
		return w, rpc.ErrMalformed
	}
	if err = json.Unmarshal(b, &w); err == nil {
		err = w.Validate()
	}
	return w, err
}
