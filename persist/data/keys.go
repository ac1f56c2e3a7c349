package data

import (
	"encoding/binary"
	"fmt"

	"pxkv/node/kv"
	"pxkv/persist/codec"
)

// First bytes of all keys. FORMAT.md draws the whole keyspace.
const (
	spaceLocal   = 0x01 // about this node
	spaceReplica = 0x10 // followed by the partition: all that a replica owns is one range
	spaceEnd     = 0x11
)

// The second byte of the only node-local key: the version of this keyspace.
const localFormat = 0x01

// The byte after the partition. The applied state sorts before the data, so that it can be
// written as a table of its own when a snapshot is installed.
const (
	kindApplied = 0x04
	kindData    = 0x06 // + the user's key
	// kindExpiry = 0x07: see expiry.go
)

const (
	partitionPrefixLen = 1 + 4                  // space, partition
	kindPrefixLen      = partitionPrefixLen + 1 // and kind
)

var formatKey = []byte{spaceLocal, localFormat}

func appendPartition(b []byte, space byte, p kv.PartitionID) []byte {
	return binary.BigEndian.AppendUint32(append(b, space), uint32(p))
}

// kindKey is the key of a replica's only key of that kind, or the prefix of its many.
func kindKey(p kv.PartitionID, kind byte) []byte {
	return appendKindKey(make([]byte, 0, kindPrefixLen), p, kind)
}

func appendKindKey(b []byte, p kv.PartitionID, kind byte) []byte {
	return append(appendPartition(b, spaceReplica, p), kind)
}

func appendDataKey(b []byte, p kv.PartitionID, key []byte) []byte {
	return append(appendKindKey(b, p, kindData), key...)
}

// partitionRange is [start, end) of all that a replica of p owns.
func partitionRange(p kv.PartitionID) (start, end []byte) {
	start = appendPartition(nil, spaceReplica, p)
	return start, prefixEnd(start)
}

// dataRange is [start, end) of the data of p whose keys begin with prefix.
func dataRange(p kv.PartitionID, prefix []byte) (start, end []byte) {
	start = appendDataKey(nil, p, prefix)
	return start, prefixEnd(start)
}

// prefixEnd is the smallest key above all keys that begin with prefix. Every prefix here
// begins with a space byte below 0xff, so there always is one.
func prefixEnd(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; ; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
}

// splitReplicaKey takes a key of the replica space apart.
func splitReplicaKey(key []byte) (p kv.PartitionID, kind byte, rest []byte, err error) {
	if len(key) < kindPrefixLen || key[0] != spaceReplica {
		return 0, 0, nil, fmt.Errorf("%w: key %x is no key of a replica", codec.ErrCorrupt, key)
	}
	p = kv.PartitionID(binary.BigEndian.Uint32(key[1:]))
	return p, key[partitionPrefixLen], key[kindPrefixLen:], nil
}
