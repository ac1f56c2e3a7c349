package crypt

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/codec"
)

// A file that is not empty begins with a header: "pxkvenc", version (one byte), id of the data key (4 bytes), zeros
// (4), first counter (16), zeros (28), CRC-32C of what stands before (4). Numbers are little endian, the counter is
// big endian, as AES-CTR counts. It lies within one sector, with the first bytes of the content: a power loss leaves
// both or none. Where it lies over another header it is durable before the file has its name: see FS.ReuseForWrite.
const (
	// HeaderBytes is by how much a file is longer on the disk.
	HeaderBytes   = 64
	headerMagic   = "pxkvenc"
	headerVersion = 1

	keyAt, counterAt, sumAt = 8, 16, 60
)

// counter is where the key stream of a file begins. It is drawn for each header, from 2^128: that two of the streams
// of a data key meet is as good as impossible.
type counter [aes.BlockSize]byte

// at is the counter of a block further on.
func (c counter) at(block uint64) counter {
	low := binary.BigEndian.Uint64(c[8:])
	sum := low + block
	binary.BigEndian.PutUint64(c[8:], sum)
	if sum < low {
		binary.BigEndian.PutUint64(c[:8], binary.BigEndian.Uint64(c[:8])+1)
	}
	return c
}

// stream is how a file is encrypted: zero when it has no header yet.
type stream struct {
	key   *dataKey
	first counter
}

// from is the key stream from an offset of the content on.
func (s stream) from(offset int64) cipher.Stream {
	c := s.first.at(uint64(offset) / aes.BlockSize)
	ks := cipher.NewCTR(s.key.block, c[:])
	if skip := offset % aes.BlockSize; skip > 0 {
		var b [aes.BlockSize]byte
		ks.XORKeyStream(b[:skip], b[:skip])
	}
	return ks
}

// header that says so.
func (s stream) header() []byte {
	b := make([]byte, HeaderBytes)
	copy(b, headerMagic)
	b[len(headerMagic)] = headerVersion
	binary.LittleEndian.PutUint32(b[keyAt:], s.key.id)
	copy(b[counterAt:], s.first[:])
	binary.LittleEndian.PutUint32(b[sumAt:], crc32.Checksum(b[:sumAt], codec.Castagnoli))
	return b
}

// parseHeader reads one; which of the data keys it names is for the caller to look up.
func parseHeader(b []byte) (key uint32, first counter, err error) {
	switch {
	case string(b[:len(headerMagic)]) != headerMagic,
		binary.LittleEndian.Uint32(b[sumAt:]) != crc32.Checksum(b[:sumAt], codec.Castagnoli):
		return 0, first, fmt.Errorf("%w: it has no header of an encrypted file", codec.ErrCorrupt)
	case b[len(headerMagic)] != headerVersion:
		return 0, first, fmt.Errorf("%w %d of an encrypted file (this pxkv knows %d; run the version that wrote it, "+
			"or a newer one)", codec.ErrFormat, b[len(headerMagic)], headerVersion)
	}
	copy(first[:], b[counterAt:])
	return binary.LittleEndian.Uint32(b[keyAt:]), first, nil
}

// IsHeader reports whether a file that begins so is encrypted.
func IsHeader(b []byte) bool {
	return len(b) >= HeaderBytes && string(b[:len(headerMagic)]) == headerMagic
}

// readHeader reads that of a file on the disk; false when the file is empty, as a crash leaves one that was just
// made: it is shorter than a header, or all zeros, since nothing of it was synced.
func readHeader(raw io.ReaderAt) (key uint32, first counter, ok bool, err error) {
	b := make([]byte, HeaderBytes)
	n, err := raw.ReadAt(b, 0)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return 0, first, false, err
	case n < HeaderBytes:
		return 0, first, false, nil
	}
	if key, first, err = parseHeader(b); err == nil {
		return key, first, true, nil
	}
	if zeros, e := allZeros(raw); e != nil || zeros {
		return 0, first, false, e
	}
	return 0, first, false, err
}

// allZeros reports whether there is nothing else in a file.
func allZeros(raw io.ReaderAt) (bool, error) {
	b := make([]byte, 64<<10)
	for at := int64(0); ; at += int64(len(b)) {
		n, err := raw.ReadAt(b, at)
		for _, c := range b[:n] {
			if c != 0 {
				return false, nil
			}
		}
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// fileInfo is that of a file without its header.
type fileInfo struct {
	vfs.FileInfo
	empty bool
}

// Size implements os.FileInfo.
func (i fileInfo) Size() int64 {
	if i.empty {
		return 0
	}
	return max(0, i.FileInfo.Size()-HeaderBytes)
}
