package ring

import "pxkv/node/kv"

// Limits of a cluster's number of partitions, which never changes after its bootstrap.
const (
	MinPartitions = 1
	MaxPartitions = Slots // each partition needs a slot of its own
)

// PartitionOf returns the partition that holds slot, in a cluster with that many
// partitions (MinPartitions to MaxPartitions). Partitions are ranges of slots of as equal
// length as can be, in order.
func PartitionOf(slot, partitions int) kv.PartitionID {
	return kv.PartitionID(slot * partitions / Slots)
}

// PartitionOfKey returns the partition that holds key.
func PartitionOfKey(key []byte, partitions int) kv.PartitionID {
	return PartitionOf(SlotOf(key), partitions)
}

// SlotRange returns the first and the last slot of partition p, both inclusive: exactly
// the slots that PartitionOf maps to p. For a partition that such a cluster does not have
// the range is empty: 0, -1.
func SlotRange(p kv.PartitionID, partitions int) (first, last int) {
	if partitions < MinPartitions || partitions > MaxPartitions || int64(p) >= int64(partitions) {
		return 0, -1
	}
	return firstSlot(int(p), partitions), firstSlot(int(p)+1, partitions) - 1
}

// firstSlot is the smallest slot with slot*partitions/Slots >= p: p*Slots/partitions,
// rounded up.
func firstSlot(p, partitions int) int {
	return (p*Slots + partitions - 1) / partitions
}
