package node

import (
	"fmt"
	"slices"
	"testing"

	"pxkv/node/kv"
	"pxkv/ring"
)

// walked walks through everything and returns the keys in the order in which they came.
func (s *server) walked(count int, between func(step int)) (keys []string) {
	s.c.t.Helper()
	for step, from := 0, uint64(0); ; step++ {
		some, next, err := s.node.Walk(within(s.c.t, patience), from, count)
		must(s.c.t, err)
		for _, key := range some {
			if at := ring.Position(key); at < from || next != 0 && at >= next {
				s.c.t.Fatalf("key %q at %d came between %d and %d", key, at, from, next)
			}
			keys = append(keys, string(key))
		}
		if next == 0 {
			return keys
		}
		if next <= from {
			s.c.t.Fatalf("a step from %d leads to %d", from, next)
		}
		from = next
		if between != nil {
			between(step)
		}
	}
}

func TestAWalkReturnsEveryKeyOnce(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 2, replicas(1), partitions(4))
	keys := append(strangeKeys(300), numbered("user:", 500)...)
	keys = append(keys, numbered("{one slot}:", 500)...)
	slices.Sort(keys)
	servers[0].fill(keys, itself)
	for _, s := range servers {
		for _, count := range []int{1, 7, 100, 1_000_000} {
			if count == 1 && s != servers[0] {
				continue // many steps
			}
			got := s.walked(count, nil)
			slices.Sort(got)
			if !slices.Equal(got, keys) {
				t.Errorf("through %s, %d at a time: %d keys, want %d", s.name, count, len(got), len(keys))
			}
		}
	}
}

// What is written and deleted during a walk may come or not; what stays must come.
func TestAWalkMissesNothingWhileKeysChange(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 2, replicas(1), partitions(4))
	s := servers[0]
	stay := numbered("stay:", 600)
	s.fill(stay, itself)
	s.fill(numbered("go:", 300), itself)
	got := s.walked(20, func(step int) {
		s.fill([]string{fmt.Sprintf("new:%d", step), fmt.Sprintf("a%d", step)}, itself)
		_, err := s.node.Write(within(t, patience), &kv.Command{
			Op: kv.OpDelete, Key: fmt.Appendf(nil, "go:%06d", step),
		})
		must(t, err)
	})
	seen := map[string]bool{}
	for _, key := range got {
		seen[key] = true
	}
	for _, key := range stay {
		if !seen[key] {
			t.Errorf("%s was missed", key)
		}
	}
}

func TestAStepOfAWalkIsAShareOfALargePartition(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 1, replicas(1), partitions(1))
	servers[0].fill(numbered("k", 1600), itself)
	keys, _, err := servers[0].node.Walk(within(t, patience), 0, 10)
	must(t, err)
	if len(keys) != 1600/walkShare {
		t.Errorf("%d keys, want %d", len(keys), 1600/walkShare)
	}
}

func FuzzDecodeWalk(f *testing.F) {
	f.Add((&walkRequest{partition: 3, from: 1 << 50, count: 10}).encode()[1:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decodeWalk(kv.NewDecoder(b)); err == nil {
			again, err := decodeWalk(content(r.encode()))
			if err != nil || again != r {
				t.Errorf("%+v became %+v, %v", r, again, err)
			}
		}
	})
}
