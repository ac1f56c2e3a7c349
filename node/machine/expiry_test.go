package machine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pxkv/node/kv"
	"pxkv/persist/data"
)

// However often keys get other deadlines, lose them, go and come back: the expiry index has one
// record for each key that has a deadline, and no other. An entry of the older version leaves some,
// which those that follow do not mind.
func TestTheExpiryIndexHoldsCurrentDeadlinesOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	rng := rand.New(rand.NewPCG(1, 2))
	key := func() []byte { return fmt.Appendf(nil, "k%d", rng.IntN(5)) }
	for i := range 600 {
		now := int64(1000 + i)
		c := kv.Command{Op: kv.OpPut, Key: key(), Value: text("v")}
		switch rng.IntN(8) {
		case 0:
			c = kv.Command{Op: kv.OpDelete, Key: key()}
		case 1:
			c = kv.Command{Op: kv.OpRename, Key: key(), NewKey: key()}
		case 2:
			c = kv.Command{
				Op: kv.OpExpire, Key: key(), Expiry: kv.Expiry{Kind: kv.ExpiryIn, MS: int64(1 + rng.IntN(50))},
			}
		case 3:
			c = kv.Command{Op: kv.OpIncr, Key: key(), Delta: 1}
		case 4:
			c.Expiry = kv.Expiry{Kind: kv.ExpiryAt, MS: 5} // long ago
		case 5, 6:
			c.Expiry = kv.Expiry{Kind: kv.ExpiryIn, MS: int64(1 + rng.IntN(50))}
		}
		two := set("k0", "v")
		two.Expiry = kv.Expiry{Kind: kv.ExpiryIn, MS: int64(1 + rng.IntN(50))}
		b.apply(now, rng.IntN(2) == 0, c.AppendTo(nil), two.AppendTo(nil))
		if rng.IntN(20) == 0 {
			b.purge(now, 2)
		}
		if rng.IntN(50) == 0 {
			if err := b.m.Reload(); err != nil {
				t.Fatal(err)
			}
		}
		index, _, err := b.db.Due(0, data.Due{}, math.MaxInt64, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range index {
			if !d.Current {
				t.Fatalf("step %d, %v: the index has %v", i, c, index)
			}
		}
	}
}

// Where no key has a deadline a write looks for none.
func TestNoFormerDeadlineIsLookedForWhereThereIsNone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run(1000, set("k", "v"))
	if any, err := b.m.indexed(b.db.NewApply(), 0); err != nil || any {
		t.Errorf("an index without a record: %v, %v", any, err)
	}
	c := set("k", "v")
	c.Expiry = kv.Expiry{Kind: kv.ExpiryIn, MS: 10}
	b.run(1000, c)
	if any, err := b.m.indexed(b.db.NewApply(), 0); err != nil || !any {
		t.Errorf("an index with a record: %v, %v", any, err)
	}
}
