package data

import (
	"encoding/binary"

	"pxkv/node/kv"
	"pxkv/persist/codec"
	"pxkv/persist/state"
)

// labelFormat is the version of what Pebble keeps of an applied state.
const labelFormat = 1

// encodeLabel is what Pebble keeps: which replica it is that has come so far.
func encodeLabel(id kv.ReplicaID, ap *state.Applied) []byte {
	return ap.AppendTo(binary.AppendUvarint([]byte{labelFormat}, uint64(id)))
}

func decodeLabel(b []byte) (kv.ReplicaID, state.Applied, error) {
	c := codec.Cursor{Rest: b}
	c.Version(labelFormat, "applied state")
	id := kv.ReplicaID(c.Uvarint())
	if c.Err == nil && id == 0 {
		c.Fail("replica id is 0")
	}
	if c.Err != nil {
		return 0, state.Applied{}, c.End("applied state")
	}
	ap, err := state.DecodeApplied(c.Rest)
	return id, ap, err
}
