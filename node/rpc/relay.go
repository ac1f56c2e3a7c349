package rpc

import (
	"encoding/binary"
	"errors"
	"fmt"

	"pxkv/node/kv"
)

// A request to a node that cannot be asked directly travels in another one, to a third node, which
// passes it on and brings the answer back. What is passed on is the request itself, so nobody
// passes it on again: it goes round no loops, and takes one hop more at most.

// How a request that was passed on ended, in the answer.
const (
	viaAnswered = 0 // the answer follows
	viaNotSent  = 1 // certainly not processed
	viaLost     = 2 // nobody knows
)

// ViaOverhead is how many bytes longer an answer is that a third node brings.
const ViaOverhead = 16

func encodeVia(to kv.NodeID, kind uint8, payload []byte) []byte {
	b := NewRequest(1 + binary.MaxVarintLen64 + len(payload))
	b = binary.AppendUvarint(b, uint64(to))
	b = append(b, kind)
	return append(b, payload...)
}

// decodeVia reads the answer of a third node.
func decodeVia(b []byte) ([]byte, error) {
	d, e := DecodeAnswer(b)
	if e != nil {
		if e.Kind == kv.Internal {
			return nil, fmt.Errorf("%s, outcome unknown", e.Text)
		}
		return nil, errNoWay // the third node refused before it did anything
	}
	how, rest := d.Byte(), d.Rest()
	switch {
	case d.Err() != nil:
		return nil, errors.New("malformed answer from another node, outcome unknown")
	case how == viaAnswered:
		return rest, nil
	case how == viaNotSent:
		return nil, errNoWay
	}
	return nil, errors.New("no answer to the request that was passed on, outcome unknown")
}

// relay passes a request on for another node. What was passed on is not passed on again, and direct says of a kind
// that it may not be passed on at all. It returns an error, and does nothing, where no sound node asks for that.
func (c *Client) relay(in Incoming, direct func(kind uint8) bool) error {
	d := kv.NewDecoder(in.Payload)
	version, to, kind := d.Byte(), kv.NodeID(d.Uvarint()), d.Byte()
	payload := d.Rest()
	if d.Err() != nil || version != Version || kind == KindVia || direct(kind) {
		return ErrMalformed
	}
	answer := func(how byte, b []byte) {
		in.Reply(append(append(NewAnswer(1+len(b)), how), b...), nil)
	}
	s := c.o.Machine.State()
	if s == nil {
		answer(viaNotSent, nil)
		return nil
	}
	if _, member := s.Member(to); !member || to == c.o.Self {
		answer(viaNotSent, nil)
		return nil
	}
	c.o.Peers.Go(to, kind, in.Deadline, payload, func(b []byte, err error) {
		switch {
		case err == nil:
			answer(viaAnswered, b)
		case c.o.NotSent(err):
			answer(viaNotSent, nil)
		default:
			answer(viaLost, nil)
		}
	})
	return nil
}
