package data

import "pxkv/persist/limit"

// Options of a Store.
type Options struct {
	Pebble  Pebble
	Limits  Limits
	Metrics Metrics
	// Light makes opening cheap. Without a Background it flushes while the caller waits.
	Light bool
	// Background, when not nil, decides when a flush in the background writes.
	Background Background
	// Between is called between the two commits into which some test builds tear a write that must be
	// atomic. It may be nil.
	Between func()
}

// Pebble says how large it may get.
type Pebble struct {
	// CacheBytes is the size of the block cache. 0 is 48 MiB, in a light store 2 MiB.
	CacheBytes int64
	// MemTableBytes is the size of one of up to four memtables. 0 is 8 MiB, in a light store 1 MiB.
	MemTableBytes int64
	// DisableCompactions is for tests that want the tree to stay as it was written.
	DisableCompactions bool

	baseBytes int64 // of the first level below the top
}

// Metrics hears what a Store does. It is called from any goroutine.
type Metrics interface {
	// Effects were handed on to Pebble in a batch of so many bytes.
	Effects(bytes int)
	// SnapshotBytes were read from this disk ("out") or written to it ("in").
	SnapshotBytes(direction string, n int64)
}

// Background is how a simulator has work of goroutines done when its clock says so, for what a
// crash finds must not depend on how fast they are.
type Background interface {
	// Flush begins a flush by calling start, whose channel is closed at the flush's end, and
	// returns what start does.
	Flush(start func() (<-chan struct{}, error)) (<-chan struct{}, error)
	// Finish is called before the caller waits for what is under way: all of it must end now.
	Finish()
}

// Limits bound what is held in memory, and say when something is worth doing. A field that is 0
// takes its default; the second default is that of a light store. All are in bytes.
type Limits struct {
	// BufferBytes is at how many bytes of effects a write buffer is drained, which holds up
	// a turn for some milliseconds. 0: 2 MiB; 3 KiB.
	BufferBytes int64
	// AllBufferBytes is the same of all partitions together: how much of the log a restart has to
	// apply again because the buffers were lost. 0: 24 MiB; 8 KiB.
	AllBufferBytes int64
	// LeastFlushBytes is how many bytes of effects are worth a flush before Pebble's memtable is
	// full. 0: 1 MiB; 1 KiB.
	LeastFlushBytes int64
	// ChunkBytes is the size at which a piece of a snapshot is sent; one larger item has a piece of
	// its own. 0: 256 KiB.
	ChunkBytes int64
	// TableBytes is about how large one staged table of a snapshot gets, before compression.
	// 0: 32 MiB.
	TableBytes int64
	// ReserveBytes is how much room on the disk is kept for what goes on when it is full. 0 is 2 % of
	// it, but 256 MiB to 1 GiB, and never more than half of it.
	ReserveBytes int64
}

// WithDefaults fills in what is 0, and names everything that cannot be.
func (l Limits) WithDefaults(light bool) (Limits, error) {
	c := limit.Check{Light: light}
	c.Fill("BufferBytes", &l.BufferBytes, 2<<20, 3<<10)
	c.Fill("AllBufferBytes", &l.AllBufferBytes, 24<<20, 8<<10)
	c.Fill("LeastFlushBytes", &l.LeastFlushBytes, 1<<20, 1<<10)
	c.Fill("ChunkBytes", &l.ChunkBytes, 256<<10, 256<<10)
	c.Fill("TableBytes", &l.TableBytes, 32<<20, 32<<20)
	return l, c.Err()
}

// FitTo makes what takes room on the disk small enough for one of total bytes. Disks above 4 GiB know no
// difference.
func (l *Limits) FitTo(total uint64) {
	limit.Fit(&l.BufferBytes, total, 2048, 64<<10)
	limit.Fit(&l.AllBufferBytes, total, 170, 256<<10)
}

// WithDefaults fills in what is 0.
func (p Pebble) WithDefaults(light bool) Pebble {
	p.baseBytes = 64 << 20
	cache, memTable := int64(48<<20), int64(8<<20)
	if light {
		cache, memTable = 2<<20, 1<<20
	}
	if p.CacheBytes <= 0 {
		p.CacheBytes = cache
	}
	if p.MemTableBytes <= 0 {
		p.MemTableBytes = memTable
	}
	return p
}

// FitTo is like Limits.FitTo.
func (p *Pebble) FitTo(total uint64) {
	limit.Fit(&p.MemTableBytes, total, 512, 256<<10)
	limit.Fit(&p.baseBytes, total, 64, 1<<20)
}
