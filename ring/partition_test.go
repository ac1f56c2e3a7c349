package ring

import (
	"testing"

	"pgregory.net/rapid"

	_ "pxkv/deploy/properties"
	"pxkv/node/kv"
)

// The ranges of all partitions lie side by side, cover every slot once, differ by one slot
// in length at most, and hold exactly the slots that PartitionOf sends there.
func TestSlotRangeIsTheInverseOfPartitionOf(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		partitions := rapid.IntRange(MinPartitions, MaxPartitions).Draw(t, "partitions")
		next := 0
		for p := range kv.PartitionID(partitions) {
			first, last := SlotRange(p, partitions)
			if first != next {
				t.Fatalf("partition %d of %d begins at slot %d, want %d", p, partitions, first, next)
			}
			if n := last - first + 1; n < Slots/partitions || n > Slots/partitions+1 {
				t.Fatalf("partition %d of %d has %d slots", p, partitions, n)
			}
			for _, slot := range []int{first, last} {
				if got := PartitionOf(slot, partitions); got != p {
					t.Fatalf("PartitionOf(%d, %d) = %d, want %d", slot, partitions, got, p)
				}
			}
			next = last + 1
		}
		if next != Slots {
			t.Fatalf("%d partitions end at slot %d, want %d", partitions, next, Slots)
		}
	})
}

func TestSlotRangeOfNoPartitionIsEmpty(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		p          kv.PartitionID
		partitions int
	}{{64, 64}, {kv.Meta, 64}, {0, 0}, {0, -1}, {0, MaxPartitions + 1}} {
		if first, last := SlotRange(c.p, c.partitions); first != 0 || last != -1 {
			t.Errorf("SlotRange(%v, %d) = %d, %d, want 0, -1", c.p, c.partitions, first, last)
		}
	}
}

func TestPartitionOfKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key        string
		partitions int
		want       kv.PartitionID
	}{
		{"foo", 1, 0},
		{"foo", 64, 47}, // slot 12182 of 256 slots each
		{"foo", MaxPartitions, 12182},
		{"{foo}.bar", 64, 47},
	} {
		if got := PartitionOfKey([]byte(c.key), c.partitions); got != c.want {
			t.Errorf("PartitionOfKey(%q, %d) = %d, want %d", c.key, c.partitions, got, c.want)
		}
	}
}
