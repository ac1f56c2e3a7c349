package core

import (
	"github.com/cespare/xxhash/v2"

	"pxkv/node/kv"
)

// NewID is the id of a node that has never been before: of one that finds an empty disk, and of one in memory at each
// start. It is drawn, and has nothing to do with the name: all that the former node of that name has promised went with
// its memory, and whoever came back under the id that promised would answer for what it does not know.
func NewID(name string, inMemory bool, draw func() uint64) kv.NodeID {
	if memoryAnswersAsFormer && inMemory {
		return kv.NodeID(xxhash.Sum64String(name) | 1)
	}
	return kv.NodeID(draw())
}
