package data

import (
	"github.com/cockroachdb/pebble/v2"

	"pxkv/node/kv"
	"pxkv/persist/state"
)

// Birth is what a replica begins with: it is there as a whole or not at all.
type Birth struct {
	store     *Store
	partition kv.PartitionID
	batch     *pebble.Batch
}

// NewBirth begins one of a replica that is in that state.
func (s *Store) NewBirth(p kv.PartitionID, id kv.ReplicaID, applied *state.Applied) *Birth {
	b := &Birth{s, p, s.pebble.NewBatch()}
	set(b.batch, kindKey(p, kindApplied), encodeLabel(id, applied))
	return b
}

// Put adds a key. The value is an encoded Record.
func (b *Birth) Put(key, value []byte) {
	set(b.batch, appendDataKey(nil, b.partition, key), value)
}

// Commit makes it readable, and does not wait for the disk. A disk that fails does not let it return.
func (b *Birth) Commit() { b.store.commit(b.batch) }

// CommitAgain is Commit at a start, where nobody rests on it yet: a disk that fails is an error.
func (b *Birth) CommitAgain() error { return b.batch.Commit(pebble.NoSync) }

// Destroy deletes all of p, for good when it has returned and the log says so.
func (s *Store) Destroy(p kv.PartitionID) error {
	err := s.replace(p, func() error {
		pb := s.pebble.NewBatch()
		deletePartition(pb, p)
		s.commit(pb)
		return nil
	})
	s.dropBuffer(p)
	if s.o.Background != nil { // else Pebble does it after spaceDelay
		_ = s.flush()
	}
	return err
}

// DestroyAgain is Destroy before anybody rests on it: see Birth.CommitAgain.
func (s Opening) DestroyAgain(p kv.PartitionID) error {
	pb := s.pebble.NewBatch()
	deletePartition(pb, p)
	return pb.Commit(pebble.NoSync)
}
