// Package ring answers one question: where does a key live? It is pure arithmetic: no
// input or output, no clock, no randomness, no state between calls.
//
// Nouns, from key to node:
//
//	key -> Slot       CRC16 of the key or of its {hash tag}, modulo 16,384 (SlotOf)
//	Slot -> Partition a fixed range of slots (PartitionOf, SlotRange)
//	Partition -> nodes, the first is the preferred leader (Placement, Rebalance)
//
// A Placement maps every partition to its nodes. Rebalance computes the next one from the one that is there: the ring
// of hashes proposes an owner for each partition, and the balance decides (zones.go says what each member shall hold,
// exchange.go how it gets there, leaders.go who leads). Moves says what a change moves.
//
// Callers: node (routing), node/meta and node/rebalance (placements), the client library
// and the Redis door (slots). Every caller with the same arguments gets the same answer, on
// every machine: there is no arithmetic here but with whole numbers.
//
// Must not: import anything of this module but node/kv, or decide when data moves. A
// placement that was computed is only a wish; the one that counts is written down by the
// meta group, so that another version of this package never moves data by itself.
package ring
