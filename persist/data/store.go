package data

import (
	"runtime"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"pxkv/node/kv"
	"pxkv/node/pack"
	"pxkv/persist/disk"
)

// Where a Store keeps its files, below the directory of the node.
const (
	Dir        = "db"
	StagingDir = "staging" // incoming snapshots; a start removes them
)

// Store is the data of one node.
type Store struct {
	disk    *disk.Disk
	o       Options
	pebble  *pebble.DB
	buffers buffers
	flushes flushes
	room    room
	staged  atomic.Uint64 // numbers the directories of incoming snapshots

	// unpack is for reads, which may be many; what is applied never waits for them.
	unpack, unpackApplied *pack.Unpacker
}

// mostUnpacked is how many values are unpacked for reads at one time at most, on however many processors.
const mostUnpacked = 16

// Opening is a Store at a start. What nobody may do to one later are methods of this type alone: who holds
// the Store does not have them.
type Opening struct{ *Store }

// New makes a store, which Open opens.
func New(d *disk.Disk, o Options) Opening {
	s := &Store{
		disk: d, o: o, unpack: pack.NewUnpacker(min(runtime.GOMAXPROCS(0), mostUnpacked)),
		unpackApplied: pack.NewUnpacker(1),
	}
	s.buffers.all.Store(&map[kv.PartitionID]*writeBuffer{})
	s.room.init()
	return Opening{s}
}

// Close ends the store, which need not be open. What was applied and not flushed is the log's to bring again.
func (s *Store) Close() error {
	if s.pebble == nil {
		return nil
	}
	return s.pebble.Close()
}

// PebbleMetrics are Pebble's own. The store must be open, and not be closed meanwhile.
func (s *Store) PebbleMetrics() *pebble.Metrics { return s.pebble.Metrics() }
