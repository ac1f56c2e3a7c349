package data

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"pxkv/node/kv"
	"pxkv/persist/disk"
)

// buffers are the write buffers of all partitions.
type buffers struct {
	mu      sync.Mutex
	all     atomic.Pointer[map[kv.PartitionID]*writeBuffer] // changed by copies, under mu
	total   atomic.Int64                                    // bytes that are active in all of them
	leaving atomic.Int64                                    // bytes on their way from them into Pebble
	drained disk.Task
}

// bufferOf returns the buffer of p; nil if there is none, and nothing was applied to p.
func (s *Store) bufferOf(p kv.PartitionID) *writeBuffer { return (*s.buffers.all.Load())[p] }

// makeBuffer returns the buffer of p.
func (s *Store) makeBuffer(p kv.PartitionID) *writeBuffer {
	if b := s.bufferOf(p); b != nil {
		return b
	}
	s.buffers.mu.Lock()
	defer s.buffers.mu.Unlock()
	all := *s.buffers.all.Load()
	if all[p] == nil {
		all = maps.Clone(all)
		all[p] = newWriteBuffer(p)
		s.buffers.all.Store(&all)
	}
	return all[p]
}

// dropBuffer forgets the buffer of p, which is destroyed.
func (s *Store) dropBuffer(p kv.PartitionID) {
	s.buffers.mu.Lock()
	defer s.buffers.mu.Unlock()
	all := maps.Clone(*s.buffers.all.Load())
	delete(all, p)
	s.buffers.all.Store(&all)
}

// Buffered is how many bytes of effects wait to go to Pebble, in all write buffers and in the fullest.
func (s *Store) Buffered() (all, most int64) {
	for _, b := range *s.buffers.all.Load() {
		all += b.bytes.Load()
		most = max(most, b.bytes.Load())
	}
	return all, most
}

// mostBuffered is how many times Limits.AllBufferBytes may wait while Pebble takes nothing.
const mostBuffered = 4

// drainFull sees to it that what has grown too large is drained: those buffers that did by
// themselves, and, when all together did, the largest until they fit. Pebble may be busy with an
// install or wait for the disk, which must not hold up a turn; only when far too much waits it does.
func (s *Store) drainFull(changed []*writeBuffer) {
	for _, b := range changed {
		if b.bytes.Load() > s.o.Limits.BufferBytes {
			s.disk.InBackground(&b.drained, func() { s.drain(b) })
		}
	}
	all := s.o.Limits.AllBufferBytes
	switch total := s.buffers.total.Load(); {
	case total+s.buffers.leaving.Load() > mostBuffered*all:
		s.drainLargest()
	case total > all:
		s.disk.InBackground(&s.buffers.drained, s.drainLargest)
	}
}

// drainLargest drains the largest buffers until what is left is little enough.
func (s *Store) drainLargest() {
	for s.buffers.total.Load() > s.o.Limits.AllBufferBytes {
		b := s.largestBuffer()
		if b == nil {
			return
		}
		s.drain(b)
		if bufferOneATurn {
			return
		}
	}
}

func (s *Store) largestBuffer() (largest *writeBuffer) {
	most := int64(0)
	for _, b := range *s.buffers.all.Load() {
		if n := b.bytes.Load(); n > most || n == most && largest != nil && b.partition < largest.partition {
			largest, most = b, n
		}
	}
	return largest
}

// drain hands on to Pebble what has been applied by now. Reads find it in b until Pebble has it.
func (s *Store) drain(b *writeBuffer) {
	defer s.disk.FailOnPanic()
	b.handover.Lock()
	defer b.handover.Unlock()
	e := b.rotate()
	if e == nil {
		return
	}
	bytes := int64(e.bytes)
	s.buffers.total.Add(-bytes)
	s.buffers.leaving.Add(bytes)

	pb := s.pebble.NewBatch()
	if appliedInOwnBatch {
		e.write(pb, b.partition)
		s.commit(pb)
		s.flushNow() // as if the memtable was full just now
		s.between()
		pb = s.pebble.NewBatch()
		e.writeApplied(pb, b.partition)
	} else {
		e.writeApplied(pb, b.partition)
		e.write(pb, b.partition)
	}
	s.commit(pb)

	b.retire(e)
	s.buffers.leaving.Add(-bytes)
}

func (e *pendingEffects) writeApplied(pb *pebble.Batch, p kv.PartitionID) {
	if l := e.applied; l != nil {
		set(pb, kindKey(p, kindApplied), encodeLabel(l.replica.ID(), &l.applied))
	}
}

// write writes them in the order of their keys: each insert into Pebble's memtable then begins
// where the one before it ended.
func (e *pendingEffects) write(pb *pebble.Batch, p kv.PartitionID) {
	var header [maxRecordHeader]byte
	for _, key := range slices.Sorted(maps.Keys(e.keys)) {
		effect := e.keys[key]
		if effect.deleted {
			op := pb.DeleteDeferred(kindPrefixLen + len(key))
			copy(appendKindKey(op.Key[:0], p, kindData)[:len(op.Key)][kindPrefixLen:], key)
			mustFinish(op)
			continue
		}
		head := effect.record.appendHeader(header[:0])
		op := pb.SetDeferred(kindPrefixLen+len(key), len(head)+len(effect.record.Value.Data))
		copy(appendKindKey(op.Key[:0], p, kindData)[:len(op.Key)][kindPrefixLen:], key)
		copy(op.Value[copy(op.Value, head):], effect.record.Value.Data)
		mustFinish(op)
	}
	for _, key := range slices.Sorted(maps.Keys(e.expiry)) {
		if e.expiry[key] {
			if err := pb.Delete([]byte(key), nil); err != nil {
				panic(err)
			}
			continue
		}
		set(pb, []byte(key), []byte{expiryFormat})
	}
}

// drainPartition drains the buffer of p.
func (s *Store) drainPartition(p kv.PartitionID) {
	if b := s.bufferOf(p); b != nil {
		s.drain(b)
	}
}

// drainAll drains all of them.
func (s *Store) drainAll() {
	for _, p := range slices.Sorted(maps.Keys(*s.buffers.all.Load())) {
		s.drainPartition(p)
	}
}

// replace lets do change all that Pebble has of p, and forgets what was to come before that. Reads of
// p wait meanwhile: what they would find may be older than what they found before.
func (s *Store) replace(p kv.PartitionID, do func() error) error {
	if b := s.bufferOf(p); b != nil {
		b.handover.Lock()
		defer b.handover.Unlock()
		b.mu.Lock()
		defer b.mu.Unlock()
		s.buffers.total.Add(-int64(b.active.bytes))
		b.active.clear()
		b.bytes.Store(0)
	}
	return do()
}
