package transfer

import (
	"io"
	"sync/atomic"
	"time"
)

// Progress is how far an import or an export is.
type Progress struct {
	Pairs  int
	Before int   // how many of them an earlier import has done
	Bytes  int64 // of the file, read or written
}

// shownEvery is how often progress is told at most.
const shownEvery = 200 * time.Millisecond

// teller tells progress now and then. The zero teller tells nobody.
type teller struct {
	tell   func(Progress)
	before int
	next   time.Time
	looked int64 // bytes when the clock was read last
}

// at tells how far things are, if it is time.
func (t *teller) at(pairs int, bytes int64) {
	if t.tell == nil || pairs%64 != 0 && bytes-t.looked < 1<<20 { // the clock is not read for each
		return
	}
	t.looked = bytes
	if now := time.Now(); now.After(t.next) {
		t.tell(Progress{pairs, min(pairs, t.before), bytes})
		t.next = now.Add(shownEvery)
	}
}

// CountedReader counts what is read through it.
type CountedReader struct {
	R io.Reader
	n atomic.Int64
}

// Read implements io.Reader.
func (c *CountedReader) Read(p []byte) (int, error) {
	n, err := c.R.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// Bytes returns how many bytes were read.
func (c *CountedReader) Bytes() int64 { return c.n.Load() }
