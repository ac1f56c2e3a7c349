package persist

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
func (db *DB) OpenSnapshot(p kv.PartitionID) (*SnapshotReader, error) {
	v, err := db.NewView(p)
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	return &SnapshotReader{v}, nil
}

// Applied says which state the snapshot has.
func (s *SnapshotReader) Applied() Applied { return s.view.Applied() }

// Close ends it.
func (s *SnapshotReader) Close() error { return s.view.Close() }

// WriteTo writes the stream that StageSnapshot reads, and returns its length in bytes. The
// stream tells its own end. Memory is bounded by the largest item, whatever the partition's
// size. It may be called again for another copy.
func (s *SnapshotReader) WriteTo(w io.Writer) (int64, error) {
	fw := &frameWriter{w: w}
	err := s.writeFrames(fw)
	s.view.db.metrics.snapshotBytes("out", fw.bytes)
	return fw.bytes, err
}

func (s *SnapshotReader) writeFrames(fw *frameWriter) error {
	if err := fw.magic(); err != nil {
		return err
	}
	fw.frame(frameHeader)
	fw.buf = binary.BigEndian.AppendUint32(fw.buf, uint32(s.view.partition))
	fw.buf = s.view.applied.appendTo(fw.buf)
	if err := fw.end(); err != nil {
		return err
	}
	items, bytes, err := s.writeChunks(fw)
	if err != nil {
		return err
	}
	dueItems, dueBytes, err := s.writeExpiry(fw)
	if err != nil {
		return err
	}
	items, bytes = items+dueItems, bytes+dueBytes
	fw.frame(frameEnd)
	fw.buf = binary.AppendUvarint(fw.buf, items)
	fw.buf = binary.AppendUvarint(fw.buf, bytes)
	return fw.end()
}

func (s *SnapshotReader) writeChunks(fw *frameWriter) (items, bytes uint64, err error) {
	it := s.view.it
	it.SetBounds(dataRange(s.view.partition, nil))
	fw.frame(frameChunk)
	for ok := it.First(); ok; ok = it.Next() {
		key := it.Key()[kindPrefixLen:]
		value, err := it.ValueAndErr()
		if err != nil {
			return 0, 0, s.view.db.readError(err)
		}
		if fw.payload() > 0 && fw.payload()+len(key)+len(value) > chunkBytes {
			if err := fw.end(); err != nil {
				return 0, 0, err
			}
			fw.frame(frameChunk)
		}
		fw.buf = append(binary.AppendUvarint(fw.buf, uint64(len(key))), key...)
		fw.buf = append(binary.AppendUvarint(fw.buf, uint64(len(value))), value...)
		items++
		bytes += uint64(len(key) + len(value))
	}
	if err := it.Error(); err != nil {
		return 0, 0, s.view.db.readError(err)
	}
	if fw.payload() > 0 {
		return items, bytes, fw.end()
	}
	return items, bytes, nil
}
