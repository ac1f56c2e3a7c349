package kv

import (
	"math"
	"testing"
)

// What a command says that it adds is never more than it may: a full disk is not told from an
// offset that no value can have.
func TestGrowthIsBounded(t *testing.T) {
	t.Parallel()
	set := Command{Op: OpSetRange, Key: []byte("k"), Offset: math.MaxInt64, Value: Value{Data: []byte("x")}}
	if n := set.Growth(); n < DefaultMaxValueBytes || n > DefaultMaxValueBytes+1024 {
		t.Errorf("SETRANGE at the end of all offsets adds %d bytes", n)
	}
	set.Offset = 100
	if n := set.Growth(); n < 101 || n > 1000 {
		t.Errorf("SETRANGE at 100 adds %d bytes", n)
	}
	tx := Transaction{Commands: []Command{set, {Op: OpDelete, Key: []byte("k")}}}
	if tx.Growth() != set.Growth() {
		t.Errorf("a deletion adds %d bytes", tx.Growth()-set.Growth())
	}
}
