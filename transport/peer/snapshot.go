package peer

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"pxkv/node/kv"
)

const (
	maxChunk   = 256 << 10 // bytes of a snapshot in one message, at most
	maxAhead   = 1024      // chunks
	endSize    = 8 + 8     // total bytes, xxhash64 of all of them
	creditSize = 4         // chunks
	// snapshotPatience is how many times Options.DeadAfter a snapshot's connection may be
	// silent: disks stall longer than networks, and a broken snapshot is expensive.
	snapshotPatience = 10
)

// errCorrupt says that a snapshot did not arrive as it was sent.
var errCorrupt = errors.New("the snapshot is damaged")

// stream is a connection that carries one snapshot. While either side is busy with its disk,
// it sends pings, so that the other knows a slow peer from a dead one.
//
// Both sides read at all times, and the receiver grants credits for chunks. The obvious
// alternative, to leave a slow receiver to TCP, is not good enough: a receiver whose
// window is closed may miss the acknowledgements of its own pings, and the kernel then sends
// them at ever longer intervals, until the sender takes it for dead.
type stream struct {
	conn     net.Conn
	r        *bufio.Reader
	maxBytes int           // longest payload of a message
	chunk    int           // bytes in a chunk that this side sends
	interval time.Duration // between pings

	mu  sync.Mutex // guards writes
	buf []byte
}

func (t *Transport) newStream(conn net.Conn) *stream {
	return &stream{
		conn: conn, r: bufio.NewReaderSize(patient{conn, snapshotPatience * t.opt.DeadAfter}, readBuffer),
		maxBytes: max(t.opt.MaxPayload, maxChunk), interval: t.opt.DeadAfter / 3, chunk: t.opt.SnapshotChunk,
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

// copied is up to how many bytes a payload is put behind its head, for one write.
const copied = 4 << 10

// send writes one message.
func (s *stream) send(typ uint8, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := item{typ: typ, payload: payload}
	s.buf = it.appendHead(s.buf[:0])
	if len(payload) > copied {
		parts := net.Buffers{s.buf, payload}
		_, err := parts.WriteTo(s.conn)
		return err
	}
	s.buf = append(s.buf, payload...)
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
			*buf, err = readRest(s.r, nil, p.length, 0)
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

// Statuses of a verdict, beside statusOK and statusError.
const (
	statusNoRoom    = 4
	statusBusy      = 5
	statusNotWanted = 6
)

var refusalStatus = map[kv.Refusal]uint8{kv.NoRoom: statusNoRoom, kv.Busy: statusBusy, kv.NotWanted: statusNotWanted}

// verdict encodes what the receiver says of a snapshot.
func verdict(err error) []byte {
	if err == nil {
		return []byte{statusOK}
	}
	status := uint8(statusError)
	if r, ok := errors.AsType[kv.Refusal](err); ok && !forgetRefusals {
		if known, ok := refusalStatus[r]; ok {
			status = known
		}
	}
	text := err.Error()
	return append([]byte{status}, text[:min(len(text), maxErrorText)]...)
}

// judged is what a verdict of at least one byte means to the sender.
func judged(verdict []byte) error {
	if verdict[0] == statusOK {
		return nil
	}
	e := &RemoteError{Text: string(verdict[1:min(len(verdict), maxErrorText+1)])}
	for r, status := range refusalStatus {
		if status == verdict[0] {
			e.Refusal = r
		}
	}
	return e
}
