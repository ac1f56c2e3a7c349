package node

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"pxkv/node/kv"
	"pxkv/node/local"
	"pxkv/node/replica"
)

// While partitions move from node to node nothing is missing: not for a read, not in a list,
// not even for a stale read that says what it has seen. A replica that was removed answers
// "not mine", never "not found".
func TestNothingIsMissingWhilePartitionsMove(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	keys := numbered("key ", 400)
	indexes := make([]uint64, len(keys))
	for i, key := range keys {
		indexes[i] = servers[i%3].write(put(key, key)).Receipt.Index
	}
	w := keepWriting(t, servers...)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	var reads, lists, walks atomic.Int64
	group.Go(func() {
		for ctx.Err() == nil {
			if missing := missedByAWalk(t, servers, keys); len(missing) > 0 {
				t.Errorf("a walk over all nodes misses %q", missing)
				return
			}
			walks.Add(1)
		}
	})
	for _, s := range servers {
		group.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				i := n % len(keys)
				for _, opt := range []kv.ReadOptions{{}, {Consistency: kv.Stale, MinIndex: indexes[i]}} {
					res, err := s.node.Read(within(t, patience), []byte(keys[i]), opt)
					if err != nil || string(res.Item.Value.Data) != keys[i] {
						t.Errorf("%s reads %q with %+v: %+v, %v", s.name, keys[i], opt, res, err)
						return
					}
				}
				reads.Add(1)
			}
		})
		group.Go(func() {
			for ctx.Err() == nil {
				items, err := collect(s.node.List(within(t, patience),
					kv.ListQuery{Prefix: []byte("key "), KeysOnly: true}))
				if err != nil || !slices.Equal(keysOf(items), keys) {
					t.Errorf("%s lists %d keys, want %d: %v", s.name, len(items), len(keys), err)
					return
				}
				lists.Add(1)
			}
		})
	}
	epoch := servers[0].machine.State().Epoch
	held := make([]*replica.Handle, c.partitions) // by requests that began before the move
	for p := range held {
		held[p] = servers[0].loop.Handle(kv.PartitionID(p))
	}
	c.joining("d")
	c.joining("e")
	c.settled(5)
	before := [3]int64{reads.Load(), lists.Load(), walks.Load()}
	eventually(t, "reads, lists and walks go on", func() error {
		if reads.Load() < before[0]+100 || lists.Load() < before[1]+3 || walks.Load() < before[2]+2 {
			return fmt.Errorf("%d reads, %d lists and %d walks, before %v", reads.Load(), lists.Load(), walks.Load(),
				before)
		}
		return nil
	})
	w.proceed(t, 100)
	w.stop()
	cancel()
	group.Wait()
	c.asPlanned()
	moved := 0
	for p, h := range held {
		if servers[0].loop.Handle(kv.PartitionID(p)) != nil {
			continue
		}
		moved++
		n := servers[0].node
		_, _, e1 := n.readLocal(local.Fresh(h), []byte(keys[0]), kv.Part{}, 0)
		_, e2 := n.readAsIs(h, []byte(keys[0]), kv.Part{})
		_, _, e3 := n.scanLocal(t.Context(), local.Fresh(h), &scanRequest{
			partition: h.Partition, maxItems: 1, maxLen: 1,
		})
		for _, e := range []*kv.Error{e1, e2, e3} {
			if e == nil || e.Kind != kv.NotLeader {
				t.Errorf("a late look at partition %d, which moved away: %v", p, e)
			}
		}
	}
	if now := servers[0].machine.State().Epoch; now == epoch || moved == 0 {
		t.Errorf("nothing moved: epoch %d, then %d", epoch, now)
	}
}

// missedByAWalk asks another node for each step of a walk, and returns the keys that did not come.
func missedByAWalk(t *testing.T, servers []*server, keys []string) []string {
	seen := map[string]bool{}
	for step, from := 0, uint64(0); ; step++ {
		some, next, err := servers[step%len(servers)].node.Walk(within(t, patience), from, 50)
		if err != nil {
			t.Error(err)
			return nil
		}
		for _, key := range some {
			seen[string(key)] = true
		}
		if from = next; from == 0 {
			break
		}
	}
	return slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return seen[key] })
}
