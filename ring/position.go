package ring

import "github.com/cespare/xxhash/v2"

// positionBits are the low bits of a position, which order the keys of one slot.
const positionBits = 39

// EndPosition is behind every key's position. It fits into a double, so that clients of
// every language can hold positions.
const EndPosition = uint64(Slots) << positionBits

// Position returns where key stands in an order of all keys that follows from the key alone: by
// slot, and by hash within a slot. So it is the same on every node and at any time, whatever
// else is stored; a partition is a range of positions. Different keys may share one.
func Position(key []byte) uint64 {
	return uint64(SlotOf(key))<<positionBits | xxhash.Sum64(key)>>(64-positionBits)
}

// SlotOfPosition returns the slot in which a position below EndPosition lies.
func SlotOfPosition(position uint64) int { return int(position >> positionBits) }

// FirstPosition returns the lowest position of a slot.
func FirstPosition(slot int) uint64 { return uint64(slot) << positionBits }
