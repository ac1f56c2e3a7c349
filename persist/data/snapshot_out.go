package data

import (
	"encoding/binary"
	"fmt"
	"io"

	"pxkv/node/kv"
)

// SnapshotReader streams a partition as it is at one moment, labelled with the applied state
// of that same moment. Any goroutine may use it, one at a time. It holds on to the files
// that it reads until Close.
type SnapshotReader struct {
	view *View
}

// OpenSnapshot opens a snapshot of p. It returns ErrNoReplica when p has none here.
func (s *Store) OpenSnapshot(p kv.PartitionID) (*SnapshotReader, error) {
	v, err := s.NewView(p)
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	return &SnapshotReader{v}, nil
}

func (s *SnapshotReader) chunkBytes() int { return int(s.view.store.o.Limits.ChunkBytes) }

// Close ends it.
func (s *SnapshotReader) Close() error { return s.view.Close() }

// WriteTo writes the stream that StageSnapshot reads, and returns its length in bytes. The
// stream tells its own end. Memory is bounded by the largest item, whatever the partition's
// size. It may be called again for another copy.
func (s *SnapshotReader) WriteTo(w io.Writer) (int64, error) {
	room := blockBuffers.Get().(*[]byte)
	bw := &blockWriter{w: w, buf: *room}
	err := s.writeBlocks(bw)
	leaveBlockBuffer(room, bw.buf)
	s.view.store.o.Metrics.SnapshotBytes("out", bw.bytes)
	return bw.bytes, err
}

func (s *SnapshotReader) writeBlocks(bw *blockWriter) error {
	if err := bw.magic(); err != nil {
		return err
	}
	bw.begin(blockHeader)
	bw.buf = binary.BigEndian.AppendUint32(bw.buf, uint32(s.view.partition))
	bw.buf = s.view.applied.AppendTo(bw.buf)
	if err := bw.end(); err != nil {
		return err
	}
	items, bytes, err := s.writeChunks(bw)
	if err != nil {
		return err
	}
	dueItems, dueBytes, err := s.writeExpiry(bw)
	if err != nil {
		return err
	}
	items, bytes = items+dueItems, bytes+dueBytes
	bw.begin(blockEnd)
	bw.buf = binary.AppendUvarint(bw.buf, items)
	bw.buf = binary.AppendUvarint(bw.buf, bytes)
	return bw.end()
}

func (s *SnapshotReader) writeChunks(bw *blockWriter) (items, bytes uint64, err error) {
	it := s.view.it
	it.SetBounds(dataRange(s.view.partition, nil))
	bw.begin(blockChunk)
	for ok := it.First(); ok; ok = it.Next() {
		key := it.Key()[kindPrefixLen:]
		value, err := it.ValueAndErr()
		if err != nil {
			return 0, 0, s.view.store.readError(err)
		}
		if bw.payload() > 0 && bw.payload()+len(key)+len(value) > s.chunkBytes() {
			if err := bw.end(); err != nil {
				return 0, 0, err
			}
			bw.begin(blockChunk)
		}
		bw.buf = append(binary.AppendUvarint(bw.buf, uint64(len(key))), key...)
		bw.buf = append(binary.AppendUvarint(bw.buf, uint64(len(value))), value...)
		items++
		bytes += uint64(len(key) + len(value))
	}
	if err := it.Error(); err != nil {
		return 0, 0, s.view.store.readError(err)
	}
	if bw.payload() > 0 {
		return items, bytes, bw.end()
	}
	return items, bytes, nil
}
