package persist

import (
	"encoding/binary"
	"fmt"
	"io"

	"pxkv/node/kv"
)

// StageSnapshot reads a snapshot of p to disk, where it waits to be installed or discarded.
// The reader is left right behind the stream. An error (ErrSnapshotStream for a stream that
// is not whole and unaltered) leaves nothing behind. Memory is bounded whatever the stream
// says. Any goroutine may call it; it takes long.
func (db *DB) StageSnapshot(p kv.PartitionID, r io.Reader) (*Staged, error) {
	if !db.open.Load() {
		return nil, ErrClosed
	}
	s, err := db.newStaged(p)
	if err != nil {
		return nil, fmt.Errorf("stage snapshot of partition %s: %w", p, err)
	}
	fr := &frameReader{r: r}
	err = s.fill(fr)
	db.metrics.snapshotBytes("in", fr.bytes)
	if err != nil {
		s.Discard()
		return nil, fmt.Errorf("stage snapshot of partition %s: %w", p, err)
	}
	return s, nil
}

func (s *Staged) fill(fr *frameReader) error {
	if err := fr.magic(); err != nil {
		return err
	}
	if err := s.readHeader(fr); err != nil {
		return err
	}
	tables := &tableWriter{staged: s}
	if err := s.readChunks(fr, tables); err != nil {
		tables.abort()
		return err
	}
	return tables.finish()
}

func (s *Staged) readHeader(fr *frameReader) error {
	typ, payload, err := fr.next()
	if err != nil {
		return err
	}
	if typ != frameHeader || len(payload) < 4 {
		return fmt.Errorf("%w: it has no header", ErrSnapshotStream)
	}
	if p := kv.PartitionID(binary.BigEndian.Uint32(payload)); p != s.partition {
		return fmt.Errorf("%w: it is of partition %s", ErrSnapshotStream, p)
	}
	if s.applied, err = decodeApplied(payload[4:]); err != nil {
		return fmt.Errorf("%w: %w", ErrSnapshotStream, err)
	}
	if s.applied.Index == 0 {
		return fmt.Errorf("%w: it is of a replica that has applied nothing", ErrSnapshotStream)
	}
	return nil
}

// readChunks reads frames up to the end frame.
func (s *Staged) readChunks(fr *frameReader, tables *tableWriter) error {
	var items, bytes uint64
	for {
		typ, payload, err := fr.next()
		if err != nil {
			return err
		}
		c := cursor{rest: payload}
		switch typ {
		case frameChunk:
			for len(c.rest) > 0 {
				key := c.bytes(c.uvarint())
				value := c.bytes(c.uvarint())
				if c.err != nil {
					return fmt.Errorf("%w: %w", ErrSnapshotStream, c.err)
				}
				if err := tables.add(key, value); err != nil {
					return err
				}
				items++
				bytes += uint64(len(key) + len(value))
			}
			if err := c.end("chunk"); err != nil {
				return fmt.Errorf("%w: %w", ErrSnapshotStream, err)
			}
		case frameExpiry:
			n, size, err := readExpiry(payload, tables)
			if err != nil {
				return err
			}
			items, bytes = items+n, bytes+size
		case frameEnd:
			wantItems, wantBytes := c.uvarint(), c.uvarint()
			if err := c.end("end"); err != nil {
				return fmt.Errorf("%w: %w", ErrSnapshotStream, err)
			}
			if items != wantItems || bytes != wantBytes {
				return fmt.Errorf("%w: it has %d items of %d bytes and should have %d of %d", ErrSnapshotStream, items, bytes, wantItems, wantBytes)
			}
			return nil
		default:
			return fmt.Errorf("%w: unknown frame %d", ErrSnapshotStream, typ)
		}
	}
}
