package server

import (
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// MemoryShare of a node's memory is what a store in memory may take unless the user says how much: 3 of 10. The
	// collector is told to keep all there is within 7 of 10; an eighth is for clients, and files in memory take up to
	// a quarter more than their length while they grow.
	memoryShareTenths = 3
	// MinMaxBytes is the least that --max-bytes may be: below it little but the store's own reserve would fit.
	MinMaxBytes = 64 << 20
	// MinMoveRate is the least that --move-rate may be: what moves slower is given up as if it stood still.
	MinMoveRate = 1 << 20
)

// bytesOf is how many bytes the store of a node may have, 0: as many as its disk has. memory is how much the node has.
func bytesOf(o *Options, memory int64) int64 {
	if o.InMemory && o.MaxBytes == 0 {
		return max(memory/10*memoryShareTenths, MinMaxBytes)
	}
	return o.MaxBytes
}

// bounded is a file system of which the files below a directory may have so many bytes together. Nothing stops them
// there: the store looks how much room is left, as it does on a disk, and refuses what would add to it in time.
type bounded struct {
	vfs.FS
	most int64
	dir  string
	mu   sync.Mutex
	used int64         // when it was last counted
	last time.Time     // when that was
	cost time.Duration // and how long it took
}

func newBounded(fs vfs.FS, dir string, most int64) *bounded {
	return &bounded{FS: fs, dir: dir, most: most}
}

// Unwrap implements vfs.FS.
func (b *bounded) Unwrap() vfs.FS { return b.FS }

// countsRest is how many times as long as a count of the files took none is made: it is asked for some times a second.
const countsRest = 20

// GetDiskUsage implements vfs.FS. What a disk below has counts as well where that is less.
func (b *bounded) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	free := uint64(max(0, b.most-b.count()))
	total := uint64(b.most)
	if below, err := b.FS.GetDiskUsage(path); err == nil {
		free, total = min(free, below.AvailBytes), min(total, below.TotalBytes)
	}
	return vfs.DiskUsage{AvailBytes: free, TotalBytes: total, UsedBytes: total - min(free, total)}, nil
}

// count returns how long all files are together.
func (b *bounded) count() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); b.last.IsZero() || now.Sub(b.last) >= countsRest*b.cost {
		b.used = b.lengthOf(b.dir)
		b.last, b.cost = time.Now(), time.Since(now)
	}
	return b.used
}

// lengthOf counts what is below a path. Files that go meanwhile have no length.
func (b *bounded) lengthOf(path string) (sum int64) {
	info, err := b.FS.Stat(path)
	if err != nil {
		return 0
	}
	if !info.IsDir() {
		return info.Size()
	}
	names, err := b.FS.List(path)
	if err != nil {
		return 0
	}
	for _, name := range names {
		sum += b.lengthOf(b.FS.PathJoin(path, name))
	}
	return sum
}
