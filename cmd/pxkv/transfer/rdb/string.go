package rdb

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// encoding is how a string is written whose length is not simply told.
type encoding uint8

const (
	plain encoding = iota // the number is a length
	int8s
	int16s
	int32s
	packed // by LZF
)

// number reads a length, or how a string is encoded.
func (r *Reader) number() (n uint64, as encoding, err error) {
	first, err := r.byte()
	if err != nil {
		return 0, plain, err
	}
	low := first & 0x3f
	switch first >> 6 {
	case 0:
		return uint64(low), plain, nil
	case 1:
		next, err := r.byte()
		return uint64(low)<<8 | uint64(next), plain, err
	case 3:
		if low > 3 {
			return 0, plain, fmt.Errorf("%w: a string has the unknown encoding %d", ErrFormat, low)
		}
		return 0, encoding(low) + int8s, nil
	}
	var b []byte
	switch first {
	case 0x80:
		if b, err = r.fixed(4); err == nil {
			n = uint64(binary.BigEndian.Uint32(b))
		}
	case 0x81:
		if b, err = r.fixed(8); err == nil {
			n = binary.BigEndian.Uint64(b)
		}
	default:
		err = fmt.Errorf("%w: a length begins with %#x", ErrFormat, first)
	}
	return n, plain, err
}

// length reads one that is nothing else.
func (r *Reader) length() (uint64, error) {
	n, as, err := r.number()
	if err == nil && as != plain {
		err = fmt.Errorf("%w: there is a string where a length should be", ErrFormat)
	}
	return n, err
}

// string reads one into dst, and tells how long it is. One that is longer than limit is skipped, and nil.
func (r *Reader) string(dst []byte, limit int) (s []byte, length uint64, err error) {
	n, as, err := r.number()
	if err != nil {
		return nil, 0, err
	}
	switch {
	case as == packed:
		return r.unpack(dst, limit)
	case as != plain:
		if s, err = r.integer(dst, as); err == nil && len(s) > limit {
			return nil, uint64(len(s)), nil
		}
		return s, uint64(len(s)), err
	case n > uint64(limit):
		return nil, n, r.skip(n)
	}
	if s, err = r.appendTo(dst, int(n)); s == nil {
		s = []byte{}
	}
	return s, n, err
}

// integer reads a string that is the digits of a number.
func (r *Reader) integer(dst []byte, as encoding) ([]byte, error) {
	b, err := r.fixed(1 << (as - int8s))
	if err != nil {
		return nil, err
	}
	var n int64
	switch as {
	case int8s:
		n = int64(int8(b[0]))
	case int16s:
		n = int64(int16(binary.LittleEndian.Uint16(b)))
	default:
		n = int64(int32(binary.LittleEndian.Uint32(b)))
	}
	return strconv.AppendInt(dst, n, 10), nil
}

// unpack reads a string that is compressed. What is compressed is shorter than what it is of.
func (r *Reader) unpack(dst []byte, limit int) (s []byte, length uint64, err error) {
	short, err := r.length()
	if err == nil {
		length, err = r.length()
	}
	if err != nil {
		return nil, 0, err
	}
	if short > length {
		return nil, 0, fmt.Errorf("%w: a string of %d bytes is compressed to %d", ErrFormat, length, short)
	}
	if length > uint64(limit) {
		return nil, length, r.skip(short)
	}
	if r.packed, err = r.appendTo(r.packed[:0], int(short)); err != nil {
		return nil, 0, err
	}
	if s, err = decompress(dst, r.packed, int(length)); s == nil {
		s = []byte{}
	}
	return s, length, err
}

// decompress appends what LZF has compressed, exactly n bytes, to dst, which is empty.
func decompress(dst, in []byte, n int) ([]byte, error) {
	broken := fmt.Errorf("%w: a compressed string is damaged", ErrFormat)
	for i := 0; i < len(in); {
		c := int(in[i])
		i++
		if c < 32 { // c+1 bytes as they are
			if i+c+1 > len(in) || len(dst)+c+1 > n {
				return nil, broken
			}
			dst = append(dst, in[i:i+c+1]...)
			i += c + 1
			continue
		}
		count := c >> 5 // bytes of before once more, less 2
		if count == 7 {
			if i >= len(in) {
				return nil, broken
			}
			count += int(in[i])
			i++
		}
		if i >= len(in) {
			return nil, broken
		}
		from := len(dst) - (c&0x1f<<8 | int(in[i])) - 1
		i++
		count += 2
		if from < 0 || len(dst)+count > n {
			return nil, broken
		}
		for range count { // they may overlap with what they make
			dst = append(dst, dst[from])
			from++
		}
	}
	if len(dst) != n {
		return nil, broken
	}
	return dst, nil
}

// skipString takes a string without a look at it.
func (r *Reader) skipString() error {
	n, as, err := r.number()
	switch {
	case err != nil:
		return err
	case as == packed:
		if n, err = r.length(); err == nil {
			_, err = r.length()
		}
		if err != nil {
			return err
		}
	case as != plain:
		n = 1 << (as - int8s)
	}
	return r.skip(n)
}

func (r *Reader) skipStrings(n uint64) error {
	for range n {
		if err := r.skipString(); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) skipLengths(n int) error {
	for range n {
		if _, err := r.length(); err != nil {
			return err
		}
	}
	return nil
}
