package sim

import (
	"testing"
	"testing/cryptotest"

	"pxkv/node/kv"
)

// Schedules in which nodes compress, some at large and some about one thing: values are packed in each that writes.
func TestNodesCompressDifferently(t *testing.T) {
	const schedules = 5
	packed, by := 0, map[kv.Packing]bool{}
	for seed, played := uint64(1), 0; played < schedules; seed++ {
		o := Schedule(seed)
		if !o.Compress {
			continue
		}
		played++
		p := packing{}
		for range o.Nodes {
			if packer := p.draw(&o); packer != nil {
				by[packer.Pack(kv.Value{Data: make([]byte, 1<<20)}).Packing] = true
			} else {
				by[kv.NotPacked] = true
			}
		}
		cryptotest.SetGlobalRandom(t, seed)
		r := Run(o)
		if r.Err != nil {
			t.Fatalf("seed %d: %v\n%+v\n%v\nthis one again: make sim SEED=%d COUNT=1", seed, r.Err, o, r, seed)
		}
		packed += r.Stats.Packed
	}
	if packed < 10*schedules || len(by) != 3 {
		t.Errorf("%d proposals had packed values in %d schedules; nodes packed by %v", packed, schedules, by)
	}
	t.Logf("%d proposals had packed values", packed)
}
