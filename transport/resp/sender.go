package resp

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// patience is how long a write may stand still before the connection gets a goroutine that
	// writes, so that its commands are still read. A client that sends a long pipeline before it
	// reads the first answer would wait for ever otherwise.
	patience = time.Second
	// sendPiece is how much is written under one deadline.
	sendPiece = 256 << 10
)

// sender sends a client its answers, in order: on the connection's goroutine as long as the
// client takes them, then on one of its own, for the rest of the connection's life.
type sender struct {
	net     net.Conn
	stall   time.Duration // without progress
	max     int           // bytes that wait
	buffers *budget
	armed   time.Time // the write deadline that the connection has

	running bool // there is a goroutine; only the connection's goroutine uses it
	done    chan struct{}
	mu      sync.Mutex
	wake    sync.Cond
	backlog []byte
	charged int  // bytes of the budget that the backlog takes
	ended   bool // no more will come
	broken  bool
}

// send reports false when the client is gone, or does not take its answers.
func (s *sender) send(b []byte) bool {
	if len(b) == 0 {
		return !s.running || !s.isBroken()
	}
	if s.running {
		return s.add(b)
	}
	for len(b) > 0 {
		now := time.Now()
		if s.armed.Sub(now) < patience/2 {
			s.armed = now.Add(patience)
			if s.net.SetWriteDeadline(s.armed) != nil {
				return false
			}
		}
		n, err := s.net.Write(b[:min(len(b), sendPiece)])
		b = b[n:]
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			if n > 0 {
				continue
			}
			s.start()
			return s.add(b)
		default:
			return false
		}
	}
	return true
}

func (s *sender) start() {
	s.running, s.done, s.wake.L = true, make(chan struct{}), &s.mu
	go s.run()
}

// add appends to what waits.
func (s *sender) add(b []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken || len(s.backlog)+len(b) > s.max || !s.buffers.take(len(b)) {
		s.broken = true
		s.wake.Signal()
		s.net.Close()
		return false
	}
	s.charged += len(b)
	s.backlog = append(s.backlog, b...)
	s.wake.Signal()
	return true
}

func (s *sender) isBroken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// run writes what waits until stop, or until the client takes nothing for too long.
func (s *sender) run() {
	defer close(s.done)
	var sending []byte
	for {
		s.mu.Lock()
		s.buffers.give(s.charged - len(s.backlog))
		s.charged = len(s.backlog)
		for len(s.backlog) == 0 && !s.ended && !s.broken {
			s.wake.Wait()
		}
		if s.broken || len(s.backlog) == 0 {
			s.buffers.give(s.charged)
			s.charged, s.backlog, s.broken = 0, nil, true
			s.mu.Unlock()
			return
		}
		sending, s.backlog = s.backlog, sending[:0]
		s.mu.Unlock()
		if !s.write(sending) {
			s.mu.Lock()
			s.broken = true
			s.mu.Unlock()
			s.net.Close() // wakes the connection's goroutine
		}
		if cap(sending) > sendPiece {
			sending = nil
		}
	}
}

func (s *sender) write(b []byte) bool {
	for len(b) > 0 {
		if s.net.SetWriteDeadline(time.Now().Add(s.stall)) != nil {
			return false
		}
		n, err := s.net.Write(b[:min(len(b), sendPiece)])
		b = b[n:]
		if err != nil && (n == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return false
		}
	}
	return true
}

// stop waits until what waits was sent, or was given up.
func (s *sender) stop() {
	if !s.running {
		return
	}
	s.mu.Lock()
	s.ended = true
	s.wake.Signal()
	s.mu.Unlock()
	<-s.done
	s.running = false
}
