package rdb

import (
	"hash/crc64"
	"io"
)

// table is of the polynomial that Redis has (Jones), reflected.
var table = crc64.MakeTable(0x95ac9329ac4bc9b5)

// source reads bytes, and sums up all that were taken.
type source struct {
	in     io.Reader
	buf    []byte
	r, w   int // buf[r:w] is what was read and not taken
	summed int // up to where what was taken is in sum
	sum    uint64
	failed error
}

// fill reads on; what was taken is gone. n bytes must have room.
func (s *source) fill(n int) error {
	if s.failed != nil {
		return s.failed
	}
	s.addUp()
	copy(s.buf, s.buf[s.r:s.w])
	s.w -= s.r
	s.r, s.summed = 0, 0
	for empty := 0; s.w < n; {
		got, err := s.in.Read(s.buf[s.w:])
		s.w += got
		if err != nil {
			s.failed = err
			if s.w >= n {
				return nil
			}
			return err
		}
		if empty++; got > 0 {
			empty = 0
		} else if empty > 100 {
			return io.ErrNoProgress
		}
	}
	return nil
}

// addUp brings the checksum up to what was taken. Redis begins with 0, and package crc64 with all bits set.
func (s *source) addUp() {
	s.sum = ^crc64.Update(^s.sum, table, s.buf[s.summed:s.r])
	s.summed = s.r
}

// checksum is that of all that was taken.
func (s *source) checksum() uint64 {
	s.addUp()
	return s.sum
}

// peek returns the next n bytes, far fewer than the buffer has, and takes none.
func (s *source) peek(n int) ([]byte, error) {
	if s.w-s.r < n {
		if err := s.fill(n); err != nil {
			return nil, err
		}
	}
	return s.buf[s.r : s.r+n], nil
}

func (s *source) skipPeeked(n int) { s.r += n }

// fixed takes the next n bytes, which live until the next call.
func (s *source) fixed(n int) ([]byte, error) {
	b, err := s.peek(n)
	if err == nil {
		s.r += n
	}
	return b, err
}

func (s *source) byte() (byte, error) {
	if s.r < s.w {
		s.r++
		return s.buf[s.r-1], nil
	}
	b, err := s.fixed(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// appendTo appends the next n bytes to dst.
func (s *source) appendTo(dst []byte, n int) ([]byte, error) {
	for n > 0 {
		if s.r == s.w {
			if err := s.fill(1); err != nil {
				return dst, err
			}
		}
		piece := s.buf[s.r:min(s.w, s.r+n)]
		dst = append(dst, piece...)
		s.r += len(piece)
		n -= len(piece)
	}
	return dst, nil
}

// skip takes the next n bytes.
func (s *source) skip(n uint64) error {
	for n > 0 {
		if s.r == s.w {
			if err := s.fill(1); err != nil {
				return err
			}
		}
		step := int(min(uint64(s.w-s.r), n))
		s.r += step
		n -= uint64(step)
	}
	return nil
}
