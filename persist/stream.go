package persist

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

// The frames of a snapshot stream. FORMAT.md describes them.
const (
	streamMagic  = "pxkvsnap"
	streamFormat = 1

	frameHeader = 1 // partition, applied state
	frameChunk  = 2 // items
	frameEnd    = 3 // totals
	frameExpiry = 4 // records of the expiry index, behind all items

	frameFixed    = 1 + 4 // type, payload length
	frameChecksum = 4

	// chunkBytes is the size at which a chunk is sent. One item larger than that has a
	// chunk of its own.
	chunkBytes = 256 << 10
	// maxFrameBytes is the largest payload that a reader takes: several times the largest
	// value, and a limit to what a broken peer can make a node hold.
	maxFrameBytes = 64 << 20
	// frameStep is how much memory a reader gives to a frame before it has seen more of it.
	frameStep = 1 << 20
)

// frameWriter writes frames. Each checksum covers the whole stream up to there, so that a
// frame that is missing, doubled or moved is found like one that is altered.
type frameWriter struct {
	w     io.Writer
	sum   uint32
	bytes int64
	buf   []byte
}

func (fw *frameWriter) magic() error { return fw.write(append([]byte(streamMagic), streamFormat)) }

// frame begins a frame's buffer. The payload is appended to it, then end writes it.
func (fw *frameWriter) frame(typ byte) {
	fw.buf = append(fw.buf[:0], typ, 0, 0, 0, 0)
}

func (fw *frameWriter) payload() int { return len(fw.buf) - frameFixed }

func (fw *frameWriter) end() error {
	if fw.payload() > maxFrameBytes {
		return fmt.Errorf("snapshot: an item of %d bytes is larger than the limit of %d", fw.payload(), maxFrameBytes)
	}
	binary.BigEndian.PutUint32(fw.buf[1:], uint32(fw.payload()))
	fw.sum = crc32.Update(fw.sum, castagnoli, fw.buf)
	fw.buf = binary.BigEndian.AppendUint32(fw.buf, fw.sum)
	return fw.write(fw.buf)
}

func (fw *frameWriter) write(b []byte) error {
	n, err := fw.w.Write(b)
	fw.bytes += int64(n)
	return err
}

// frameReader reads exactly the stream's bytes, and never more memory than it has seen bytes
// of a frame.
type frameReader struct {
	r     io.Reader
	sum   uint32
	bytes int64
	buf   []byte
}

func (fr *frameReader) magic() error {
	var b [len(streamMagic) + 1]byte
	if err := fr.full(b[:]); err != nil {
		return err
	}
	if string(b[:len(streamMagic)]) != streamMagic {
		return fmt.Errorf("%w: it does not begin as a snapshot", ErrSnapshotStream)
	}
	if v := b[len(streamMagic)]; v != streamFormat {
		return fmt.Errorf("%w: %w %d (this pxkv knows %d)", ErrSnapshotStream, ErrFormat, v, streamFormat)
	}
	return nil
}

// next reads a frame. The payload is valid until the next call.
func (fr *frameReader) next() (typ byte, payload []byte, err error) {
	var head [frameFixed]byte
	if err := fr.full(head[:]); err != nil {
		return 0, nil, err
	}
	size := int(binary.BigEndian.Uint32(head[1:]))
	if size > maxFrameBytes {
		return 0, nil, fmt.Errorf("%w: a frame of %d bytes is larger than the limit of %d", ErrSnapshotStream, size, maxFrameBytes)
	}
	total := size + frameChecksum
	fr.buf = fr.buf[:0]
	for len(fr.buf) < total {
		have := len(fr.buf)
		fr.buf = append(fr.buf, make([]byte, min(total-have, max(frameStep, have)))...)
		if err := fr.full(fr.buf[have:]); err != nil {
			return 0, nil, err
		}
	}
	payload = fr.buf[:size]
	fr.sum = crc32.Update(crc32.Update(fr.sum, castagnoli, head[:]), castagnoli, payload)
	if got := binary.BigEndian.Uint32(fr.buf[size:]); got != fr.sum {
		return 0, nil, fmt.Errorf("%w: checksum differs after %d bytes", ErrSnapshotStream, fr.bytes)
	}
	return head[0], payload, nil
}

// full fills b; a stream that ends early is a bad one.
func (fr *frameReader) full(b []byte) error {
	n, err := io.ReadFull(fr.r, b)
	fr.bytes += int64(n)
	if err != nil {
		return fmt.Errorf("%w: it ends after %d bytes: %w", ErrSnapshotStream, fr.bytes, err)
	}
	return nil
}
