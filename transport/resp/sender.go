package resp

import (
	"bytes"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"pxkv/node/kv"
)

// patience is how long a write may stand still before the connection gets a goroutine that
// writes, so that its commands are still read. A client that sends a long pipeline before it
// reads the first answer would wait for ever otherwise.
const patience = time.Second

// sender sends a client its answers, in order: on the connection's goroutine as long as the
// client takes them, then on one of its own, for the rest of the connection's life.
type sender struct {
	net     net.Conn
	stall   time.Duration // without progress
	max     int           // bytes that wait
	piece   int           // bytes that are written under one deadline
	large   int           // bytes: what is longer is kept as it is, and not copied, when it has to wait
	account *kv.Account
	armed   time.Time // the write deadline that the connection has

	running bool // there is a goroutine; only the connection's goroutine uses it
	done    chan struct{}
	mu      sync.Mutex
	wake    sync.Cond
	backlog [][]byte
	waits   int  // bytes in backlog
	ended   bool // no more will come
	broken  bool
}

// keeps reports whether send keeps such bytes: they must not be used again then.
func (s *sender) keeps(b []byte) bool { return s.running && len(b) > s.large }

// send reports false when the client is gone, or does not take its answers. What must wait is counted
// on the sender's account instead of from's, where it may be counted already.
func (s *sender) send(b []byte, from *kv.Account) bool {
	if len(b) == 0 {
		return !s.running || !s.isBroken()
	}
	if s.running {
		return s.add(b, from)
	}
	for len(b) > 0 {
		now := time.Now()
		if s.armed.Sub(now) < patience/2 {
			s.armed = now.Add(patience)
			if s.net.SetWriteDeadline(s.armed) != nil {
				return false
			}
		}
		n, err := s.net.Write(b[:min(len(b), s.piece)])
		b = b[n:]
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			if n > 0 {
				continue
			}
			s.start()
			return s.add(b, from)
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
func (s *sender) add(b []byte, from *kv.Account) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken || s.waits+len(b) > s.max || !from.MoveTo(s.account, len(b)) && !s.account.Take(len(b)) {
		s.broken = true
		s.wake.Signal()
		s.net.Close()
		return false
	}
	s.waits += len(b)
	last := len(s.backlog) - 1
	switch {
	case len(b) > s.large:
		s.backlog = append(s.backlog, b)
	case last >= 0 && len(s.backlog[last]) <= s.large:
		s.backlog[last] = append(s.backlog[last], b...)
	default:
		s.backlog = append(s.backlog, bytes.Clone(b))
	}
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
	for {
		s.mu.Lock()
		for len(s.backlog) == 0 && !s.ended && !s.broken {
			s.wake.Wait()
		}
		if s.broken || len(s.backlog) == 0 {
			s.account.Give(s.waits)
			s.waits, s.backlog, s.broken = 0, nil, true
			s.mu.Unlock()
			return
		}
		sending := s.backlog[0]
		s.backlog[0] = nil
		s.backlog = s.backlog[1:]
		s.waits -= len(sending)
		s.mu.Unlock()
		ok := s.write(sending)
		s.account.Give(len(sending))
		if !ok {
			s.mu.Lock()
			s.broken = true
			s.mu.Unlock()
			s.net.Close() // wakes the connection's goroutine
		}
	}
}

func (s *sender) write(b []byte) bool {
	for len(b) > 0 {
		if s.net.SetWriteDeadline(time.Now().Add(s.stall)) != nil {
			return false
		}
		n, err := s.net.Write(b[:min(len(b), s.piece)])
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
