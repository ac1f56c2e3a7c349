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

func errFull() *kv.Error {
	return kv.Errorf(kv.Full, "The disk of the partition's leader is full: free some space on it, or delete keys")
}
