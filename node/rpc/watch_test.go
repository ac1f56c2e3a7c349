package rpc

import (
	"encoding/binary"
	"maps"
	"slices"
	"testing"

	"pxkv/node/kv"
)

// What other nodes say they lead is believed only of partitions that exist.
func TestAnotherNodeCannotFillTheRoutes(t *testing.T) {
	t.Parallel()
	lies := NewAnswer(0)
	for p := range 10_000 {
		lies = binary.AppendUvarint(lies, uint64(p)<<20)
	}
	leads, ok := decodeLeading(lies, 4)
	if ok || len(leads) > 4 {
		t.Errorf("%d routes in a cluster of 4 partitions, ok %v", len(leads), ok)
	}
	if leads, ok = decodeLeading(append(NewAnswer(0), 3, 0x80), 4); ok || len(leads) != 1 || !leads[3] {
		t.Errorf("a list that was cut off arrives as %v, ok %v", leads, ok)
	}
	leads, ok = decodeLeading(append(NewAnswer(0), 3, 1), 4)
	if got := slices.Sorted(maps.Keys(leads)); !ok || !slices.Equal(got, []kv.PartitionID{1, 3}) {
		t.Errorf("a node that leads 1 and 3 arrives as one that leads %v, ok %v", got, ok)
	}
}
