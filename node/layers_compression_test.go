package node

import (
	"math/rand/v2"
	"strings"
	"sync"

	"pxkv/node/kv"
	"pxkv/node/pack"
)

// compress lets the nodes of a quarter of the schedules pack values, each as it draws at each of its starts, by
// numbers which other seeds do not rest on. The values are such that some of it makes them shorter.
func (s *schedule) compress(c *cluster) {
	rng := rand.New(rand.NewPCG(s.seed, 101))
	if rng.IntN(4) > 0 {
		return
	}
	s.filling = strings.Repeat(".", 30+rng.IntN(60))
	var mu sync.Mutex // nodes may start together
	c.packer = func(string) *pack.Packer {
		mu.Lock()
		defer mu.Unlock()
		return pack.NewPacker(kv.Packing(rng.IntN(3)), 1)
	}
}
