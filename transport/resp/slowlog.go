package resp

import (
	"fmt"
	"sync"
	"time"

	"pxkv/node/kv"
)

// As in Redis: words of an entry, and bytes of a word.
const (
	slowWords = 32
	slowBytes = 128
)

// slowLog keeps the newest of what took long on this node.
type slowLog struct {
	after time.Duration // what takes as long is noted
	kept  int

	mu      sync.Mutex
	entries []slowEntry // oldest first
	next    int64
}

type slowEntry struct {
	id    int64
	when  time.Time
	took  time.Duration
	words []string

	address string
	name    string
}

// note keeps commands that took long: a pipeline as its first command, and how many it had.
func (l *slowLog) note(from *session, cmd *command, args [][]byte, commands int, took time.Duration) {
	if took < l.after || cmd.flags&skipSlowlog != 0 {
		return
	}
	e := slowEntry{when: time.Now(), took: took, address: from.address(), name: from.name}
	for i, a := range args {
		if i == slowWords-1 && len(args) > slowWords {
			e.words = append(e.words, fmt.Sprintf("... (%d more arguments)", len(args)-i))
			break
		}
		w := string(a[:min(len(a), slowBytes)])
		if len(a) > slowBytes {
			w += fmt.Sprintf("... (%d more bytes)", len(a)-slowBytes)
		}
		e.words = append(e.words, w)
	}
	if commands > 1 {
		e.words = append(e.words, fmt.Sprintf("... (and %d more commands of the pipeline)", commands-1))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e.id = l.next
	l.next++
	if len(l.entries) >= l.kept {
		l.entries = append(l.entries[:0], l.entries[1:]...)
	}
	l.entries = append(l.entries, e)
}

// slowLogGetCommand answers SLOWLOG GET.
func slowLogGetCommand(h *handler, args [][]byte) {
	count := int64(10)
	if len(args) > 3 {
		h.fail(&failure{codeError, "unknown subcommand or wrong number of arguments for '" + string(args[1]) +
			"'. Try SLOWLOG HELP."})
		return
	}
	if len(args) == 3 {
		n, ok := kv.ParseInt(args[2])
		if !ok || n < -1 {
			h.fail(&failure{codeError, "count should be greater than or equal to -1"})
			return
		}
		count = n
	}
	l := &h.server.slowLog
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.entries)
	if count >= 0 {
		n = min(n, int(min(count, int64(l.kept))))
	}
	h.array(n)
	for i := range n {
		e := &l.entries[len(l.entries)-1-i]
		h.array(6)
		h.integer(e.id)
		h.integer(e.when.Unix())
		h.integer(e.took.Microseconds())
		h.array(len(e.words))
		for _, w := range e.words {
			h.bulkText(w)
		}
		h.bulkText(e.address)
		h.bulkText(e.name)
	}
}

// slowLogLenCommand answers SLOWLOG LEN.
func slowLogLenCommand(h *handler, _ [][]byte) {
	l := &h.server.slowLog
	l.mu.Lock()
	defer l.mu.Unlock()
	h.integer(int64(len(l.entries)))
}

// slowLogResetCommand answers SLOWLOG RESET.
func slowLogResetCommand(h *handler, _ [][]byte) {
	l := &h.server.slowLog
	l.mu.Lock()
	l.entries = nil
	l.mu.Unlock()
	h.ok()
}
