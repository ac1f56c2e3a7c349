package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"pxkv/node/kv"
)

// ErrDamaged is the error of packed data that does not unpack to exactly as many bytes as is said of it.
var ErrDamaged = errors.New("packed value does not unpack")

// maxWindow is how far back a zstd frame may refer. No value is longer than half of it.
const maxWindow = 2 * kv.DefaultMaxValueBytes

// mostKept is the longest piece of scratch memory that is kept for the next use.
const mostKept = 64 << 10

// Unpacker unpacks values.
type Unpacker struct {
	zstd    *zstd.Decoder
	readers chan *inflater // one a decoder; whoever has one may use it
}

// inflater unpacks zlib, and has memory for what is only looked at.
type inflater struct {
	source  bytes.Reader
	zlib    io.ReadCloser // nil until it was used
	scratch []byte
}

// NewUnpacker returns one that unpacks so many values at a time, at least one.
func NewUnpacker(atOnce int) *Unpacker {
	atOnce = max(atOnce, 1)
	u := &Unpacker{readers: make(chan *inflater, atOnce)}
	for range atOnce {
		u.readers <- &inflater{}
	}
	var err error
	u.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(atOnce), zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxMemory(kv.DefaultMaxValueBytes), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		panic(err) // of options that cannot be
	}
	return u
}

// Unpack returns a value's data as it was before it was packed, in memory of its own; data that is not packed is
// returned as it is. It never makes more than v.Length() bytes. The error is ErrDamaged.
func (u *Unpacker) Unpack(v *kv.Value) ([]byte, error) {
	if v.Packing == kv.NotPacked {
		return v.Data, nil
	}
	in := <-u.readers
	defer func() { u.readers <- in }()
	return u.into(in, v, nil)
}

// Check returns ErrDamaged when a value does not unpack. It keeps nothing of what it unpacks.
func (u *Unpacker) Check(v *kv.Value) error { return u.compare(v, nil) }

// compare checks that a value unpacks, and to what, unless that is nil.
func (u *Unpacker) compare(v *kv.Value, plain []byte) error {
	if v.Packing == kv.NotPacked {
		return nil
	}
	in := <-u.readers
	defer func() { u.readers <- in }()
	got, err := u.into(in, v, in.scratch[:0])
	if err == nil && plain != nil && !bytes.Equal(got, plain) {
		err = fmt.Errorf("%w: %v gives other bytes", ErrDamaged, v.Packing)
	}
	if cap(got) <= mostKept {
		in.scratch = got
	}
	return err
}

// into unpacks into the memory of room, if there is enough.
func (u *Unpacker) into(in *inflater, v *kv.Value, room []byte) ([]byte, error) {
	if !v.WellPacked() {
		return nil, fmt.Errorf("%w: %d bytes by packing %d are said to be %d", ErrDamaged, len(v.Data), v.Packing,
			v.Plain)
	}
	if cap(room) < v.Plain {
		room = make([]byte, 0, v.Plain)
	}
	room = room[:0:v.Plain]
	var plain []byte
	var err error
	if v.Packing == kv.Zstd {
		plain, err = u.zstd.DecodeAll(v.Data, room)
	} else {
		plain, err = in.inflate(v.Data, room[:v.Plain])
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %v: %w", ErrDamaged, v.Packing, err)
	case len(plain) != v.Plain:
		return nil, fmt.Errorf("%w: %v gives %d bytes and not %d", ErrDamaged, v.Packing, len(plain), v.Plain)
	}
	return plain, nil
}

// inflate fills plain, whose length is the only one that data may have.
func (in *inflater) inflate(data, plain []byte) ([]byte, error) {
	in.source.Reset(data)
	defer in.source.Reset(nil)
	var err error
	if in.zlib == nil {
		in.zlib, err = zlib.NewReader(&in.source)
	} else {
		err = in.zlib.(zlib.Resetter).Reset(&in.source, nil)
	}
	if err != nil {
		in.zlib = nil // one that failed to begin is not to be begun again
		return nil, err
	}
	if _, err = io.ReadFull(in.zlib, plain); err != nil {
		return nil, err
	}
	var more [1]byte
	switch n, err := in.zlib.Read(more[:]); { // which looks at the checksum, too
	case n > 0:
		return nil, errors.New("it goes on")
	case !errors.Is(err, io.EOF):
		return nil, err
	case in.source.Len() > 0:
		return nil, errors.New("there are bytes behind its end")
	}
	return plain, nil
}
