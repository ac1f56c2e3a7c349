package node

import "pxkv/node/kv"

// How requests end, without having done anything, that this node can say itself.

func errNotJoined() *kv.Error {
	return kv.Errorf(kv.Unavailable, "this node has not joined a cluster yet")
}

func errSeveralPartitions() *kv.Error {
	return kv.Errorf(kv.Invalid, "Keys are in different partitions: give them a common {hash tag}")
}

func errNotHere(p kv.PartitionID) *kv.Error {
	return kv.Errorf(kv.NotLeader, "no replica of partition %s on this node", p)
}

func errTooLate(p kv.PartitionID) *kv.Error {
	return kv.Errorf(kv.Unavailable, "partition %s: no majority answered in time", p)
}

func errReading(p kv.PartitionID, err error) *kv.Error {
	return kv.Errorf(kv.Internal, "partition %s: read: %v", p, err)
}

// errFull says that there is no room on the disk, or in what the store may have of it or of memory.
func (n *Node) errFull() *kv.Error {
	if n.o.MaxBytes > 0 {
		return kv.Errorf(kv.Full, "The store of the partition's leader is full (its --max-bytes, or its disk): delete "+
			"keys, or give it more room")
	}
	return kv.Errorf(kv.Full, "The disk of the partition's leader is full: free some space on it, or delete keys")
}
