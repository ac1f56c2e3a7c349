package data

import (
	"github.com/cockroachdb/pebble/v2"

	"pxkv/node/kv"
)

// commit gives Pebble a batch of data and applied states, or ends the node. It waits for
// no disk: the log brings it again after a crash.
func (s *Store) commit(pb *pebble.Batch) {
	bytes := pb.Len()
	err := pb.Commit(pebble.NoSync)
	if err == nil {
		err = pb.Close()
	}
	if err != nil {
		s.disk.Fail("commit of effects failed under %s: %v", s.disk.Dir, err)
	}
	s.o.Metrics.Effects(bytes)
	if s.flushes.unflushed.Add(int64(bytes)) > lightFlush && s.o.Light {
		s.wantFlush(true)
	}
}

// Writing to a batch that has no index cannot fail: it only grows a buffer.
func set(b *pebble.Batch, key, value []byte) {
	if err := b.Set(key, value, nil); err != nil {
		panic(err)
	}
}

func deletePartition(b *pebble.Batch, p kv.PartitionID) {
	start, end := partitionRange(p)
	if err := b.DeleteRange(start, end, nil); err != nil {
		panic(err)
	}
}

func mustFinish(op *pebble.DeferredBatchOp) {
	if err := op.Finish(); err != nil {
		panic(err)
	}
}
