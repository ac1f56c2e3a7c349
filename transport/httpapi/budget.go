package httpapi

import "sync/atomic"

// budget bounds a number of bytes held at one time by all requests.
type budget struct {
	limit int64
	used  atomic.Int64
}

// take reserves n bytes and reports whether they were free.
func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.limit {
		b.used.Add(-n)
		return false
	}
	return true
}

// give returns n bytes that were taken.
func (b *budget) give(n int64) {
	if n != 0 {
		b.used.Add(-n)
	}
}
