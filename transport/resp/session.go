package resp

import (
	"bytes"
	"net"
	"time"

	"pxkv/node/kv"
)

// session is who a client is, and what it has said that holds for its later commands: HELLO, CLIENT,
// MULTI, WATCH. SELECT and AUTH change nothing, as there are one database and no password.
type session struct {
	id            int64
	since         time.Time
	remote, local net.Addr

	protocol int // 2 or 3
	name     string
	library  [2]string // name and version of the client library
	quit     bool      // close after the answers

	multi        *transaction // between MULTI and EXEC
	watched      []kv.Watch
	watchedBytes int         // counted in kept
	kept         *kv.Account // the connection's
}

// transaction is what a client queues between MULTI and EXEC.
type transaction struct {
	commands []queued
	bytes    int  // of keys and values
	held     int  // of those and of what keeps them, counted in session.kept
	failed   bool // a command was refused: EXEC will be, too
}

type queued struct {
	cmd  *command
	args [][]byte
}

const (
	// argumentBytes is about what an argument takes in a transaction besides its bytes.
	argumentBytes = 48
	// keptBytes is what a kept argument takes here besides its bytes, and queuedBytes a command.
	keptBytes   = 24 + 16
	queuedBytes = 64
)

// address is the client's.
func (s *session) address() string { return s.remote.String() }

// reset makes the session that of a new client.
func (s *session) reset() {
	s.endMulti()
	s.name, s.protocol = "", 2
}

// beginMulti reports whether a transaction can begin.
func (s *session) beginMulti() bool {
	if s.multi != nil {
		return false
	}
	s.multi = &transaction{}
	return true
}

// failMulti notes that a command was refused, which EXEC will be then.
func (s *session) failMulti() {
	if s.multi != nil {
		s.multi.failed = true
	}
}

// queue keeps a command until EXEC, or says why it does not.
func (s *session) queue(cmd *command, args [][]byte) (fault *failure) {
	size, held := 0, queuedBytes
	for _, a := range args {
		size += len(a) + argumentBytes
		held += len(a) + keptBytes
	}
	m := s.multi
	switch {
	case cmd.flags&alone != 0:
		fault = errNotInMulti
	case len(m.commands) >= kv.MaxTransactionCommands || m.bytes+size > kv.MaxTransactionBytes:
		fault = errMultiTooBig
	case !s.kept.Take(held):
		fault = errBuffers
	default:
		kept := make([][]byte, len(args))
		for i, a := range args {
			kept[i] = bytes.Clone(a)
		}
		m.commands = append(m.commands, queued{cmd, kept})
		m.bytes += size
		m.held += held
		return nil
	}
	s.failMulti()
	return fault
}

// multiLength is how many commands are queued, -1 without MULTI.
func (s *session) multiLength() int {
	if s.multi == nil {
		return -1
	}
	return len(s.multi.commands)
}

// endMulti forgets the queued commands and what was watched.
func (s *session) endMulti() {
	if s.multi != nil {
		s.kept.Give(s.multi.held)
	}
	s.multi = nil
	s.endWatch()
}

// takeWatches makes room for more keys to watch, as long as there is any.
func (s *session) takeWatches(keys [][]byte) bool {
	size := 0
	for _, key := range keys {
		size += len(key) + argumentBytes
	}
	if !s.kept.Take(size) {
		return false
	}
	s.watchedBytes += size
	return true
}

// watch remembers which version of a key was there, if any.
func (s *session) watch(key []byte, item *kv.Item) {
	w := kv.Watch{Key: bytes.Clone(key)}
	if item != nil {
		w.Version = item.Version
	}
	s.watched = append(s.watched, w)
}

// endWatch forgets what was watched.
func (s *session) endWatch() {
	s.kept.Give(s.watchedBytes)
	s.watched, s.watchedBytes = nil, 0
}
