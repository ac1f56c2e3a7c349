package node

import (
	"fmt"
	"testing"

	"pxkv/node/kv"
)

func TestAnEstimateIsExactWhenThereAreFewKeys(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	estimate := func(s *server) int64 {
		t.Helper()
		n, err := s.node.EstimateKeys(within(t, patience))
		must(t, err)
		return n
	}
	if got := estimate(servers[0]); got != 0 {
		t.Errorf("%d keys in an empty cluster", got)
	}
	for i := range 50 {
		servers[i%3].write(put(fmt.Sprint("key ", i), "v"))
	}
	for _, s := range servers {
		if got := estimate(s); got != 50 {
			t.Errorf("%s says %d keys, want 50", s.name, got)
		}
	}
	// Many keys are counted in some partitions only.
	var batch []kv.Command
	for i := range enoughKeys * 2 {
		batch = append(batch, *put(fmt.Sprint("many ", i), ""))
	}
	for part := range 20 {
		for _, a := range servers[0].node.Batch(within(t, patience), batch[part*1000:(part+1)*1000]) {
			if a.Err != nil {
				t.Fatal(a.Err)
			}
		}
	}
	want := int64(enoughKeys*2 + 50)
	if got := estimate(servers[0]); got < want*8/10 || got > want*12/10 {
		t.Errorf("%d keys of %d in %d partitions", got, want, c.partitions)
	}
}
