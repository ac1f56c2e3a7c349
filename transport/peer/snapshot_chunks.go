package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
)

// chunkBuffers are buffers of chunks that snapshots before have left: *[]byte, of more than half of maxChunk.
var chunkBuffers sync.Pool

// takeChunkBuffer returns an empty one, nil when there is none.
func takeChunkBuffer() []byte {
	b, ok := chunkBuffers.Get().(*[]byte)
	if !ok {
		return nil
	}
	return (*b)[:0]
}

func leaveChunkBuffer(b []byte) {
	if cap(b) > maxChunk/2 && cap(b) <= 2*maxChunk {
		chunkBuffers.Put(&b)
	}
}

// chunkWriter is the io.Writer that cuts a snapshot into chunks. It blocks while the receiver
// grants none.
type chunkWriter struct {
	s       *stream
	credits *credits
	buf     []byte
	total   uint64
	hash    *xxhash.Digest
	err     error // sticky: of the connection
}

func (w *chunkWriter) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		fits := min(len(b), w.s.chunk-len(w.buf))
		w.buf = append(w.buf, b[:fits]...)
		b = b[fits:]
		n += fits
		if len(w.buf) == w.s.chunk {
			if err := w.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (w *chunkWriter) flush() error {
	if len(w.buf) == 0 || w.err != nil {
		return w.err
	}
	if w.err = w.credits.take(); w.err != nil {
		return w.err
	}
	w.total += uint64(len(w.buf))
	_, _ = w.hash.Write(w.buf) // never fails
	w.err = w.s.send(typeSnapshotChunk, w.buf)
	w.buf = w.buf[:0]
	return w.err
}

// finish sends what is left and the end.
func (w *chunkWriter) finish() error {
	if err := w.flush(); err != nil {
		return err
	}
	end := binary.LittleEndian.AppendUint64(make([]byte, 0, endSize), w.total)
	return w.s.send(typeSnapshotEnd, binary.LittleEndian.AppendUint64(end, w.hash.Sum64()))
}

// credits is how many chunks the sender may still send.
type credits struct {
	mu     sync.Mutex
	change sync.Cond
	left   uint64
	over   bool // no more will come
}

func newCredits() *credits {
	c := new(credits)
	c.change.L = &c.mu
	return c
}

func (c *credits) add(n uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left += uint64(n)
	c.change.Broadcast()
}

// end makes take fail from now on.
func (c *credits) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.change.Broadcast()
}

// take waits for a credit and uses it.
func (c *credits) take() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.left == 0 && !c.over {
		c.change.Wait()
	}
	if c.over {
		return errUnwanted
	}
	c.left--
	return nil
}

// errUnwanted ends the sending when the verdict, or the end of the connection, came early.
var errUnwanted = errors.New("the receiver takes no more of the snapshot")

// body is the io.Reader over a snapshot's chunks, which pump receives.
type body struct {
	s       *stream
	arrived chan arrival  // room for a window of chunks and the end
	free    chan []byte   // buffers of chunks that were read
	granted atomic.Int64  // credits that the sender has not used
	ahead   int           // chunks that the sender may be ahead of the reader
	bytes   atomic.Int64  // that have arrived
	whole   atomic.Bool   // nothing more is to come
	slow    chan struct{} // closed when too little arrives

	current arrival // not yet read to its end; owned by the reader
	unsaid  uint32  // chunks read for which no credit was granted yet
	err     error   // sticky; io.EOF when all arrived and is right
}

// arrival is a chunk, or the end of all chunks with io.EOF or an error.
type arrival struct {
	buf  []byte // to be used again
	rest []byte // of the chunk
	err  error
}

func newBody(s *stream, ahead int) *body {
	return &body{s: s, ahead: ahead, arrived: make(chan arrival, ahead+1), free: make(chan []byte, ahead+1),
		slow: make(chan struct{})}
}

// Read implements io.Reader.
func (b *body) Read(dst []byte) (int, error) {
	for len(b.current.rest) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		b.next()
	}
	n := copy(dst, b.current.rest)
	b.current.rest = b.current.rest[n:]
	return n, nil
}

// next lets go of the current chunk and waits for another, or for the end.
func (b *body) next() {
	if b.current.buf != nil {
		b.free <- b.current.buf // has room for all there are
		if b.unsaid++; b.unsaid >= uint32(max(b.ahead/4, 1)) {
			b.grant(b.unsaid)
			b.unsaid = 0
		}
	}
	select {
	case b.current = <-b.arrived:
	case <-b.slow:
		b.current = arrival{err: errSlow}
	}
	b.err = b.current.err
}

// grant lets the sender send n more chunks. An error shows itself to pump.
func (b *body) grant(n uint32) {
	b.granted.Add(int64(n))
	_ = b.s.send(typeSnapshotCredit, binary.LittleEndian.AppendUint32(nil, n))
}

// pump receives until the connection ends. gone is called when no more will come and the
// snapshot is not complete, or the sender went before it could hear the verdict.
func (b *body) pump(gone func()) {
	defer gone()
	hash, total := xxhash.New(), uint64(0)
	for {
		var buf []byte
		select {
		case buf = <-b.free:
		default:
			buf = takeChunkBuffer()
		}
		typ, payload, err := b.s.receive(&buf)
		if err == nil && typ == typeSnapshotChunk && len(payload) > 0 && b.granted.Add(-1) >= 0 {
			total += uint64(len(payload))
			b.bytes.Add(int64(len(payload)))
			_, _ = hash.Write(payload) // never fails
			b.arrived <- arrival{buf: buf, rest: payload}
			continue
		}
		end := endOf(typ, payload, err, total, hash.Sum64())
		whole := errors.Is(end, io.EOF)
		b.whole.Store(whole)
		b.arrived <- arrival{err: end}
		for whole && err == nil { // until the sender has the verdict and closes
			_, _, err = b.s.receive(&buf)
		}
		return
	}
}

// leave gives the buffers back that were read, when nobody reads or receives any more.
func (b *body) leave() {
	leaveChunkBuffer(b.current.buf)
	for {
		select {
		case buf := <-b.free:
			leaveChunkBuffer(buf)
		default:
			return
		}
	}
}

// endOf returns what Read says behind the last chunk: io.EOF when all of the snapshot is there.
func endOf(typ uint8, payload []byte, err error, total, sum uint64) error {
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("the snapshot's connection ended before the snapshot: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return fmt.Errorf("receive snapshot: %w", err)
	case typ == typeSnapshotAbort:
		return fmt.Errorf("the sender gave up the snapshot: %s", payload[:min(len(payload), maxErrorText)])
	case typ != typeSnapshotEnd || len(payload) != endSize:
		return fmt.Errorf("%w: unexpected message of type %d and %d bytes", errCorrupt, typ, len(payload))
	}
	sentTotal, sentSum := binary.LittleEndian.Uint64(payload), binary.LittleEndian.Uint64(payload[8:])
	if total != sentTotal || sum != sentSum {
		return fmt.Errorf("%w: received were %d bytes with hash %016x, sent were %d with %016x", errCorrupt, total, sum,
			sentTotal, sentSum)
	}
	return io.EOF
}
