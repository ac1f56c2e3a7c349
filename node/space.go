package node

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"pxkv/persist/data"
)

const (
	// spaceInterval is how often the free space is looked at where it may soon be gone. Where there is plenty it is
	// less often, by how long it lasts at fillRate, a rate that no disk is filled at: bytes a second.
	spaceInterval, longestSpaceInterval = 200 * time.Millisecond, 2 * time.Second
	fillRate                            = 4 << 30
	// refusedFor is how long after it refused a write for want of room a disk counts as full: there may be some room
	// left, and only large values find none.
	refusedFor = 10 * time.Second
)

// space is what is known of the disk.
type space struct {
	refused atomic.Int64           // when a write found no room, by Options.Boot; 0: none has
	full    atomic.Pointer[string] // why it is full, for people; nil when it is not
}

// takeRoom asks for room for a write that adds so many bytes: see data.Store.TakeRoom.
func (n *Node) takeRoom(bytes int64) bool {
	if n.o.DB.TakeRoom(bytes) {
		return true
	}
	n.space.refused.Store(int64(n.o.Boot()))
	return false
}

// watchSpace keeps the store informed about the disk. While it has less room than the store needs
// to tidy up, writes that add something are refused. Reads, deletions, purges of what has expired,
// replicas that leave and the truncation of logs go on.
func (n *Node) watchSpace(ctx context.Context) {
	for {
		rest := longestSpaceInterval // without an answer there is room: see persist.DB.LookForRoom
		if room, err := n.o.DB.LookForRoom(); err == nil {
			n.judgeSpace(room, n.o.Boot())
			rest = lasts(room)
		}
		if !passes(ctx, rest) {
			return
		}
	}
}

// lasts is for how long the room need not be looked at again.
func lasts(r data.Room) time.Duration {
	ms := max(0, r.Growth()) / (fillRate / 1000)
	return min(max(time.Duration(ms)*time.Millisecond, spaceInterval), longestSpaceInterval)
}

// judgeSpace says whether the disk is full, in the log when that changes, and in status.
func (n *Node) judgeSpace(room data.Room, now time.Duration) {
	refused := time.Duration(n.space.refused.Load())
	full := room.Growth() < 0 || refused > 0 && now-refused < refusedFor
	if was := n.space.full.Load() != nil; full != was {
		n.log.Warn("disk space", "full", full, "free", room.Free, "reserve", room.Reserve, "owed", room.Owed)
	}
	if !full {
		n.space.full.Store(nil)
		return
	}
	which := "writes"
	if room.Growth() >= 0 {
		which = "large writes"
	}
	if n.o.MaxBytes > 0 {
		n.space.full.Store(new(fmt.Sprintf("the store of node %s is full: %s to the partitions that it leads are "+
			"refused (%d MiB of %d are left to it by --max-bytes and its disk, %d of them kept for the store itself): "+
			"delete keys, add nodes, or give it more", n.o.Name, which, room.Free>>20, room.Total>>20,
			room.Reserve>>20)))
		return
	}
	n.space.full.Store(new(fmt.Sprintf("the disk of node %s is full: %s to the partitions that it leads are refused "+
		"(%d MiB are free, %d of them kept for the store itself): free some space on it, or delete keys",
		n.o.Name, which, room.Free>>20, room.Reserve>>20)))
}
