package kv

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// NodeID names one node for all time: 64 random bits drawn when an empty data directory
// is first started. 0 means "no node". A wiped directory is another node.
type NodeID uint64

// String returns the id as 16 lower-case hexadecimal digits, the form used in gossip,
// logs and JSON.
func (n NodeID) String() string { return fmt.Sprintf("%016x", uint64(n)) }

// MarshalText implements encoding.TextMarshaler.
func (n NodeID) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *NodeID) UnmarshalText(b []byte) error {
	v, err := strconv.ParseUint(string(b), 16, 64)
	if err != nil {
		return fmt.Errorf("node id %q: want up to 16 hexadecimal digits", b)
	}
	*n = NodeID(v)
	return nil
}

// Names returns the name of a node, "" when it is not known. A nil Names knows none.
type Names func(NodeID) string

// Of returns a node as people know it: by its name, with the id behind it; by its id alone when its
// name is not known.
func (names Names) Of(id NodeID) string {
	if names != nil {
		if name := names(id); name != "" {
			return name + " (" + id.String() + ")"
		}
	}
	return id.String()
}

// ClusterID names one cluster for all time: 64 random bits drawn at bootstrap.
// 0 means "not in a cluster yet".
type ClusterID uint64

// String returns the id as 16 lower-case hexadecimal digits.
func (c ClusterID) String() string { return fmt.Sprintf("%016x", uint64(c)) }

// MarshalText implements encoding.TextMarshaler.
func (c ClusterID) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *ClusterID) UnmarshalText(b []byte) error {
	v, err := strconv.ParseUint(string(b), 16, 64)
	if err != nil {
		return fmt.Errorf("cluster id %q: want up to 16 hexadecimal digits", b)
	}
	*c = ClusterID(v)
	return nil
}

// PartitionID numbers a partition: 0 to the cluster's partition count - 1, or Meta.
type PartitionID uint32

// Meta is the partition of the meta group, which holds members, placement and settings
// instead of users' keys.
const Meta PartitionID = math.MaxUint32

// String returns the number, or "meta".
func (p PartitionID) String() string {
	if p == Meta {
		return "meta"
	}
	return strconv.FormatUint(uint64(p), 10)
}

// ParsePartition is the inverse of String.
func ParsePartition(s string) (PartitionID, error) {
	if s == Meta.String() {
		return Meta, nil
	}
	p, err := strconv.ParseUint(s, 10, 32)
	if err != nil || PartitionID(p) == Meta {
		return 0, fmt.Errorf("%q is no partition: give its number, or %s", s, Meta)
	}
	return PartitionID(p), nil
}

// PartitionList names partitions for people: the first most of them, and how many more there are.
func PartitionList(ps []PartitionID, most int) string {
	var names []string
	for _, p := range ps[:min(len(ps), most)] {
		names = append(names, p.String())
	}
	text := strings.Join(names, ", ")
	if more := len(ps) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// ReplicaID names one replica of one partition for all time. The meta group hands out
// each id once; it is the replica's id in Raft. 0 means "no replica".
type ReplicaID uint64

// Epoch is the version of the placement: it grows by one with every change of it.
type Epoch uint64

// Replica is one copy of a partition: which node holds it, and its id there.
type Replica struct {
	ID   ReplicaID `json:"id"`
	Node NodeID    `json:"node"`
}
