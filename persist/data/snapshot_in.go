package data

import (
	"encoding/binary"
	"fmt"
	"io"

	"pxkv/node/kv"
	"pxkv/persist/codec"
	"pxkv/persist/disk"
	"pxkv/persist/state"
)

// StageSnapshot reads a snapshot of p to disk, where it waits to be installed or discarded.
// The reader is left right behind the stream. An error (ErrSnapshotStream for a stream that
// is not whole and unaltered; ErrNoRoom when the reserve of the disk begins before the stream
// ends) leaves nothing behind. Memory is bounded whatever the stream says. Any goroutine may call
// it; it takes long.
func (s *Store) StageSnapshot(p kv.PartitionID, r io.Reader) (*Staged, error) {
	if !s.disk.IsOpen() {
		return nil, disk.ErrClosed
	}
	if err := s.roomForSnapshot(); err != nil {
		return nil, fmt.Errorf("stage snapshot of partition %s: %w", p, err)
	}
	staged, err := s.newStaged(p)
	if err != nil {
		return nil, fmt.Errorf("stage snapshot of partition %s: %w", p, err)
	}
	room := blockBuffers.Get().(*[]byte)
	br := &blockReader{r: r, buf: *room}
	err = staged.fill(br)
	leaveBlockBuffer(room, br.buf)
	s.o.Metrics.SnapshotBytes("in", br.bytes)
	if err != nil {
		staged.Discard()
		return nil, fmt.Errorf("stage snapshot of partition %s: %w", p, err)
	}
	return staged, nil
}

func (s *Staged) fill(br *blockReader) error {
	if err := br.magic(); err != nil {
		return err
	}
	if err := s.readHeader(br); err != nil {
		return err
	}
	tables := &tableWriter{staged: s}
	if err := s.readChunks(br, tables); err != nil {
		tables.abort()
		return err
	}
	return tables.finish()
}

func (s *Staged) readHeader(br *blockReader) error {
	typ, payload, err := br.next()
	if err != nil {
		return err
	}
	if typ != blockHeader || len(payload) < 4 {
		return fmt.Errorf("%w: it has no header", ErrSnapshotStream)
	}
	if p := kv.PartitionID(binary.BigEndian.Uint32(payload)); p != s.partition {
		return fmt.Errorf("%w: it is of partition %s", ErrSnapshotStream, p)
	}
	if s.applied, err = state.DecodeApplied(payload[4:]); err != nil {
		return fmt.Errorf("%w: %w", ErrSnapshotStream, err)
	}
	if s.applied.Index == 0 {
		return fmt.Errorf("%w: it is of a replica that has applied nothing", ErrSnapshotStream)
	}
	return nil
}

// readChunks reads blocks up to the end block.
func (s *Staged) readChunks(br *blockReader, tables *tableWriter) error {
	var items, bytes uint64
	for {
		typ, payload, err := br.next()
		if err != nil {
			return err
		}
		c := codec.Cursor{Rest: payload}
		if err := s.store.roomForSnapshot(); err != nil {
			return err
		}
		switch typ {
		case blockChunk:
			for len(c.Rest) > 0 {
				key := c.Bytes(c.Uvarint())
				value := c.Bytes(c.Uvarint())
				if c.Err != nil {
					return fmt.Errorf("%w: %w", ErrSnapshotStream, c.Err)
				}
				if err := tables.add(key, value); err != nil {
					return err
				}
				items++
				bytes += uint64(len(key) + len(value))
			}
			if err := c.End("chunk"); err != nil {
				return fmt.Errorf("%w: %w", ErrSnapshotStream, err)
			}
		case blockExpiry:
			n, size, err := readExpiry(payload, tables)
			if err != nil {
				return err
			}
			items, bytes = items+n, bytes+size
		case blockEnd:
			wantItems, wantBytes := c.Uvarint(), c.Uvarint()
			if err := c.End("end"); err != nil {
				return fmt.Errorf("%w: %w", ErrSnapshotStream, err)
			}
			if items != wantItems || bytes != wantBytes {
				return fmt.Errorf("%w: it has %d items of %d bytes and should have %d of %d",
					ErrSnapshotStream, items, bytes, wantItems, wantBytes)
			}
			return nil
		default:
			return fmt.Errorf("%w: unknown block %d", ErrSnapshotStream, typ)
		}
	}
}

// roomForSnapshot looks at the disk before each block is written: an incoming snapshot must leave
// the reserve alone, else it takes the room that the log of the other replicas needs.
func (s *Store) roomForSnapshot() error {
	if stagingIgnoresReserve {
		return nil
	}
	if r, err := s.lookForRoom(); err == nil && r.Growth() < 0 {
		return fmt.Errorf("%w (%d bytes are free under %s, %d of them are kept: free some space)",
			ErrNoRoom, r.Free, s.disk.Dir, r.Reserve+r.Owed)
	}
	return nil
}
