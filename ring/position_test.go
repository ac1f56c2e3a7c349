package ring

import (
	"testing"

	"pgregory.net/rapid"
)

func TestPositionsFollowSlots(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "key")
		at, slot := Position(key), SlotOf(key)
		if at >= EndPosition || SlotOfPosition(at) != slot || at < FirstPosition(slot) || at >= FirstPosition(slot+1) {
			t.Fatalf("position %d of a key of slot %d", at, slot)
		}
	})
	if EndPosition > 1<<53 {
		t.Error("positions do not fit into a double")
	}
}

// Cursors that clients hold must mean the same in every version.
func TestPositionsAreForEver(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]uint64{"foo": 6697236448695340, "{user1}.cart": 4456853635261991} {
		if got := Position([]byte(key)); got != want {
			t.Errorf("%s is at %d, was at %d", key, got, want)
		}
	}
}
