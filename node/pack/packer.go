package pack

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"pxkv/node/kv"
)

// DefaultLeast is how long a value is at least that is packed.
const DefaultLeast = 256 + 1

// leastShare is by which part of its length a value must become shorter: what gains less is kept as it is, and costs
// nothing when it is read.
const leastShare = 16

// leastGain is how many bytes it must become shorter at least: more than what is written of a packing.
const leastGain = 5

const (
	// mostAtOnce is how many values are packed at one time at most, on however many processors: each encoder takes
	// about a megabyte.
	mostAtOnce = 8
	// zstdWindow is how far back zstd looks for what it has seen before. A larger one takes more memory.
	zstdWindow = 1 << 20
)

// Parse reads the name of an algorithm: none, zlib or zstd.
func Parse(name string) (kv.Packing, error) {
	for _, p := range []kv.Packing{kv.NotPacked, kv.Zlib, kv.Zstd} {
		if p.String() == name {
			return p, nil
		}
	}
	return 0, fmt.Errorf("compression %q is not known: it is none, zlib or zstd", name)
}

// Stats counts what a Packer was given. All of it only grows.
type Stats struct {
	Packed, Left  atomic.Int64 // values
	Before, After atomic.Int64 // bytes of them, those included that were left as they were
}

// Packer packs values.
type Packer struct {
	Stats
	packing kv.Packing
	least   int
	zstd    *zstd.Encoder
	encoder chan *encoder // one for each that may be at work
	check   *Unpacker
}

// encoder has memory for one value at a time.
type encoder struct {
	zlib    *zlib.Writer // nil until it was used
	scratch buffer
}

// NewPacker returns a packer of values of at least so many bytes, 0 for DefaultLeast; nil, which leaves all as they
// are, for kv.NotPacked.
func NewPacker(packing kv.Packing, least int) *Packer {
	if packing == kv.NotPacked {
		return nil
	}
	if least == 0 {
		least = DefaultLeast
	}
	atOnce := min(runtime.GOMAXPROCS(0), mostAtOnce)
	p := &Packer{packing: packing, least: least, encoder: make(chan *encoder, atOnce), check: NewUnpacker(atOnce)}
	for range atOnce {
		p.encoder <- &encoder{}
	}
	if packing == kv.Zstd {
		var err error
		p.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(atOnce), zstd.WithWindowSize(zstdWindow),
			zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(true))
		if err != nil {
			panic(err) // of options that cannot be
		}
	}
	return p
}

// Wants reports whether a value is one that is packed if it becomes shorter.
func (p *Packer) Wants(v *kv.Value) bool {
	return p != nil && v.Packing == kv.NotPacked && len(v.Data) >= p.least && len(v.Data) <= kv.DefaultMaxValueBytes
}

// Pack returns a value packed, with data in memory of its own, if it becomes shorter by a sixteenth, and five bytes, at
// least; else as it is. It was unpacked again and compared: a fault of an encoder costs nothing but room.
func (p *Packer) Pack(v kv.Value) kv.Value {
	if !p.Wants(&v) {
		return v
	}
	e := <-p.encoder
	defer func() { p.encoder <- e }()
	most := len(v.Data) - max(len(v.Data)/leastShare, leastGain)
	packed := kv.Value{Kind: v.Kind, ContentType: v.ContentType, Packing: p.packing, Plain: len(v.Data)}
	p.Before.Add(int64(len(v.Data)))
	data, ok := p.encode(e, v.Data, most)
	if packed.Data = data; !ok || p.check.compare(&packed, v.Data) != nil {
		p.Left.Add(1)
		p.After.Add(int64(len(v.Data)))
		e.scratch.shrink()
		return v
	}
	packed.Data = append(make([]byte, 0, len(data)), data...)
	p.Packed.Add(1)
	p.After.Add(int64(len(data)))
	e.scratch.shrink()
	return packed
}

// encode packs into the scratch memory of e. It reports false when that takes more than most bytes.
func (p *Packer) encode(e *encoder, plain []byte, most int) ([]byte, bool) {
	e.scratch.begin(most)
	if p.packing == kv.Zstd {
		data := p.zstd.EncodeAll(plain, e.scratch.b)
		e.scratch.b = data[:0]
		return data, len(data) <= most
	}
	var err error
	if e.zlib == nil {
		if e.zlib, err = zlib.NewWriterLevel(&e.scratch, zlib.BestSpeed); err != nil {
			panic(err) // of a level that cannot be
		}
	} else {
		e.zlib.Reset(&e.scratch)
	}
	if _, err = e.zlib.Write(plain); err == nil {
		err = e.zlib.Close()
	}
	return e.scratch.b, err == nil
}

// buffer takes up to a number of bytes.
type buffer struct {
	b    []byte
	most int
}

var errFull = errors.New("the packed value is too long")

func (b *buffer) begin(most int) { b.b, b.most = b.b[:0], most }

// Write implements io.Writer.
func (b *buffer) Write(data []byte) (int, error) {
	if len(b.b)+len(data) > b.most {
		return 0, errFull
	}
	b.b = append(b.b, data...)
	return len(data), nil
}

// shrink gives a long piece of memory back.
func (b *buffer) shrink() {
	if cap(b.b) > mostKept {
		b.b = nil
	}
}
