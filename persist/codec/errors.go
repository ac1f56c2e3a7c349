package codec

import (
	"errors"
	"hash/crc32"
)

var (
	// ErrFormat: what was read was written by another, usually newer, version of pxkv.
	ErrFormat = errors.New("unknown format version")
	// ErrCorrupt: what was read is not what was written, or does not fit together. The node must not take
	// part in any vote with it: its replicas have to be rebuilt under new ids.
	ErrCorrupt = errors.New("data is corrupt")
)

// Castagnoli is the table of CRC-32C, which all checksums are.
var Castagnoli = crc32.MakeTable(crc32.Castagnoli)
