package data

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"pxkv/node/kv"
	"pxkv/persist/codec"
)

// StreamFormat is that of the streams in which snapshots travel.
var StreamFormat = kv.Format{Name: "snapshot streams", Writes: streamFormat}

// The blocks of a snapshot stream. FORMAT.md describes them.
const (
	streamMagic  = "pxkvsnap"
	streamFormat = 1

	blockHeader = 1 // partition, applied state
	blockChunk  = 2 // items
	blockEnd    = 3 // totals
	blockExpiry = 4 // items of the expiry index, behind those of the data

	blockFixed    = 1 + 4 // type, payload length
	blockChecksum = 4

	// maxBlockBytes is the largest payload that a reader takes: several times the largest
	// value, and a limit to what a broken peer can make a node hold.
	maxBlockBytes = 64 << 20
	// blockStep is how much memory a reader gives to a block before it has seen more of it.
	blockStep = 1 << 20
)

// blockBuffers are buffers of blocks that streams before have left. A snapshot of a few megabytes would need nearly as
// much for new ones, and what is new costs a page fault for each 4 KiB on top of the collector's work.
var blockBuffers = sync.Pool{New: func() any { return new([]byte) }}

// mostBlockBuffer is how large one is kept: blocks above it have a single large item.
const mostBlockBuffer = 1 << 20

func leaveBlockBuffer(room *[]byte, b []byte) {
	if cap(b) <= mostBlockBuffer {
		*room = b[:0]
		blockBuffers.Put(room)
	}
}

// blockWriter writes blocks. Each checksum covers the whole stream up to there, so that a
// block that is missing, doubled or moved is found like one that is altered.
type blockWriter struct {
	w     io.Writer
	sum   uint32
	bytes int64
	buf   []byte
}

func (bw *blockWriter) magic() error { return bw.write(append([]byte(streamMagic), streamFormat)) }

// begin begins a block's buffer. The payload is appended to it, then end writes it.
func (bw *blockWriter) begin(typ byte) {
	bw.buf = append(bw.buf[:0], typ, 0, 0, 0, 0)
}

func (bw *blockWriter) payload() int { return len(bw.buf) - blockFixed }

func (bw *blockWriter) end() error {
	if bw.payload() > maxBlockBytes {
		return fmt.Errorf("snapshot: an item of %d bytes is larger than the limit of %d", bw.payload(), maxBlockBytes)
	}
	binary.BigEndian.PutUint32(bw.buf[1:], uint32(bw.payload()))
	bw.sum = crc32.Update(bw.sum, codec.Castagnoli, bw.buf)
	bw.buf = binary.BigEndian.AppendUint32(bw.buf, bw.sum)
	return bw.write(bw.buf)
}

func (bw *blockWriter) write(b []byte) error {
	n, err := bw.w.Write(b)
	bw.bytes += int64(n)
	return err
}

// blockReader reads exactly the stream's bytes, and never more memory than it has seen bytes
// of a block.
type blockReader struct {
	r     io.Reader
	sum   uint32
	bytes int64
	buf   []byte
}

func (br *blockReader) magic() error {
	var b [len(streamMagic) + 1]byte
	if err := br.full(b[:]); err != nil {
		return err
	}
	if string(b[:len(streamMagic)]) != streamMagic {
		return fmt.Errorf("%w: it does not begin as a snapshot", ErrSnapshotStream)
	}
	if v := b[len(streamMagic)]; v != streamFormat {
		return fmt.Errorf("%w: %w %d (this pxkv knows %d)", ErrSnapshotStream, codec.ErrFormat, v, streamFormat)
	}
	return nil
}

// next reads a block. The payload is valid until the next call.
func (br *blockReader) next() (typ byte, payload []byte, err error) {
	var head [blockFixed]byte
	if err := br.full(head[:]); err != nil {
		return 0, nil, err
	}
	size := int(binary.BigEndian.Uint32(head[1:]))
	if size > maxBlockBytes {
		return 0, nil, fmt.Errorf("%w: a block of %d bytes is larger than the limit of %d",
			ErrSnapshotStream, size, maxBlockBytes)
	}
	total := size + blockChecksum
	br.buf = br.buf[:0]
	for len(br.buf) < total {
		have := len(br.buf)
		br.buf = append(br.buf, make([]byte, min(total-have, max(blockStep, have)))...)
		if err := br.full(br.buf[have:]); err != nil {
			return 0, nil, err
		}
	}
	payload = br.buf[:size]
	br.sum = crc32.Update(crc32.Update(br.sum, codec.Castagnoli, head[:]), codec.Castagnoli, payload)
	if got := binary.BigEndian.Uint32(br.buf[size:]); got != br.sum {
		return 0, nil, fmt.Errorf("%w: checksum differs after %d bytes", ErrSnapshotStream, br.bytes)
	}
	return head[0], payload, nil
}

// full fills b; a stream that ends early is a bad one.
func (br *blockReader) full(b []byte) error {
	n, err := io.ReadFull(br.r, b)
	br.bytes += int64(n)
	if err != nil {
		return fmt.Errorf("%w: it ends after %d bytes: %w", ErrSnapshotStream, br.bytes, err)
	}
	return nil
}
