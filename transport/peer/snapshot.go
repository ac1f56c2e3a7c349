package peer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
)

const (
	chunkSize = 256 << 10 // bytes of a snapshot in one message
	endSize   = 8 + 8     // total bytes, xxhash64 of all of them
	// snapshotPatience is how many times Options.DeadAfter a snapshot's connection may be
	// silent: disks stall longer than networks, and a broken snapshot is expensive.
	snapshotPatience = 4
)

// errCorrupt says that a snapshot did not arrive as it was sent.
var errCorrupt = errors.New("the snapshot is damaged")

// stream is a connection that carries one snapshot. While either side is busy with its disk,
// it sends pings, so that the other knows a slow peer from a dead one.
type stream struct {
	conn     net.Conn
	r        *bufio.Reader
	maxBytes int           // longest payload of a message
	interval time.Duration // between pings

	mu  sync.Mutex // guards writes
	buf []byte
}

func (t *Transport) newStream(conn net.Conn) *stream {
	return &stream{
		conn: conn, r: bufio.NewReaderSize(patient{conn, snapshotPatience * t.opt.DeadAfter}, readBuffer),
		maxBytes: max(t.opt.MaxFrame, chunkSize), interval: t.opt.DeadAfter / 3,
	}
}

// patient is a connection whose reads fail when nothing arrives for some time.
type patient struct {
	net.Conn
	timeout time.Duration
}

func (p patient) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(p.timeout)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

// send writes one message.
func (s *stream) send(typ uint8, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := item{typ: typ, payload: payload}
	s.buf = append(it.appendHead(s.buf[:0]), payload...)
	_, err := s.conn.Write(s.buf)
	return err
}

// receive reads one message other than a ping. The payload is valid until the next call
// with the same buf.
func (s *stream) receive(buf *[]byte) (typ uint8, payload []byte, err error) {
	for {
		var head [prefixSize]byte
		if _, err := io.ReadFull(s.r, head[:]); err != nil {
			return 0, nil, err
		}
		p, err := decodePrefix(head[:], s.maxBytes)
		if err != nil {
			return 0, nil, err
		}
		if p.length <= cap(*buf) {
			*buf = (*buf)[:p.length]
			_, err = io.ReadFull(s.r, *buf)
		} else {
			*buf, err = readRest(s.r, nil, p.length)
		}
		if err != nil {
			return 0, nil, err
		}
		if err := p.check(*buf); err != nil {
			return 0, nil, err
		}
		if typ = (*buf)[0]; typ != typePing {
			return typ, (*buf)[1:], nil
		}
	}
}

// keepAlive sends pings until the returned function is called, which waits for the end of
// the last. broken is called once when the connection turns out to be dead.
func (s *stream) keepAlive(broken func()) (stop func()) {
	quit := make(chan struct{})
	var pinger sync.WaitGroup
	pinger.Go(func() {
		tick := time.NewTicker(s.interval)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				if s.send(typePing, make([]byte, pingSize)) != nil {
					broken()
					return
				}
			}
		}
	})
	return func() {
		close(quit)
		pinger.Wait()
	}
}

// body is the io.Reader over a snapshot's chunks.
type body struct {
	s     *stream
	buf   []byte
	rest  []byte // of the last chunk
	total uint64
	hash  *xxhash.Digest
	err   error // sticky; io.EOF when all arrived and is right
}

func (b *body) Read(dst []byte) (int, error) {
	for len(b.rest) == 0 && b.err == nil {
		b.next()
	}
	if len(b.rest) == 0 {
		return 0, b.err
	}
	n := copy(dst, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// next receives a chunk or the end.
func (b *body) next() {
	typ, payload, err := b.s.receive(&b.buf)
	switch {
	case errors.Is(err, io.EOF):
		b.err = fmt.Errorf("the snapshot's connection ended before the snapshot: %w", io.ErrUnexpectedEOF)
	case err != nil:
		b.err = fmt.Errorf("receive snapshot: %w", err)
	case typ == typeSnapshotChunk:
		b.rest = payload
		b.total += uint64(len(payload))
		_, _ = b.hash.Write(payload) // never fails
	case typ == typeSnapshotAbort:
		b.err = fmt.Errorf("the sender gave up the snapshot: %s", payload[:min(len(payload), maxErrorText)])
	case typ == typeSnapshotEnd && len(payload) == endSize:
		total, sum := binary.LittleEndian.Uint64(payload), binary.LittleEndian.Uint64(payload[8:])
		if total != b.total || sum != b.hash.Sum64() {
			b.err = fmt.Errorf("%w: received %d bytes with hash %016x, sent were %d with %016x", errCorrupt, b.total, b.hash.Sum64(), total, sum)
			return
		}
		b.err = io.EOF
	default:
		b.err = fmt.Errorf("%w: unexpected message of type %d and %d bytes", errCorrupt, typ, len(payload))
	}
}

// chunkWriter is the io.Writer that cuts a snapshot into chunks.
type chunkWriter struct {
	s     *stream
	buf   []byte
	total uint64
	hash  *xxhash.Digest
	err   error // sticky: of the connection
}

func (w *chunkWriter) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		fits := min(len(b), chunkSize-len(w.buf))
		w.buf = append(w.buf, b[:fits]...)
		b = b[fits:]
		n += fits
		if len(w.buf) == chunkSize {
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
