package resp

import "sync/atomic"

// budget bounds the bytes that all connections hold beyond their small buffers.
type budget struct {
	limit int64
	used  atomic.Int64
}

// take reserves n bytes and reports whether they were free.
func (b *budget) take(n int) bool {
	if b.used.Add(int64(n)) > b.limit {
		b.used.Add(-int64(n))
		return false
	}
	return true
}

// give returns n bytes that were taken.
func (b *budget) give(n int) {
	if n != 0 {
		b.used.Add(-int64(n))
	}
}
