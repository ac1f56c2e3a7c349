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
	kept int

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

// slow notes commands that took long: a pipeline as its first command, and how many it had.
func (c *conn) slow(cmd *command, args [][]byte, commands int, took time.Duration) {
	if took < c.server.opt.SlowAfter || cmd.flags&skipSlowlog != 0 {
		return
	}
	e := slowEntry{when: time.Now(), took: took, address: c.address(), name: c.name}
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
	l := &c.server.slowLog
	l.mu.Lock()
	defer l.mu.Unlock()
	e.id = l.next
	l.next++
	if len(l.entries) >= l.kept {
		l.entries = append(l.entries[:0], l.entries[1:]...)
	}
	l.entries = append(l.entries, e)
}

// observe notes the time of a command that was carried out alone.
func (c *conn) observe(cmd *command, args [][]byte, commands int, took time.Duration) {
	c.server.metrics.observe(cmd, took)
	c.slow(cmd, args, commands, took)
}

// slowLogGet answers SLOWLOG GET.
func (c *conn) slowLogGet(args [][]byte) {
	count := int64(10)
	if len(args) > 3 {
		c.fail("ERR unknown subcommand or wrong number of arguments for '" + string(args[1]) + "'. Try SLOWLOG HELP.")
		return
	}
	if len(args) == 3 {
		n, ok := kv.ParseInt(args[2])
		if !ok || n < -1 {
			c.fail("ERR count should be greater than or equal to -1")
			return
		}
		count = n
	}
	l := &c.server.slowLog
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.entries)
	if count >= 0 {
		n = min(n, int(min(count, int64(l.kept))))
	}
	c.array(n)
	for i := range n {
		e := &l.entries[len(l.entries)-1-i]
		c.array(6)
		c.integer(e.id)
		c.integer(e.when.Unix())
		c.integer(e.took.Microseconds())
		c.array(len(e.words))
		for _, w := range e.words {
			c.bulkText(w)
		}
		c.bulkText(e.address)
		c.bulkText(e.name)
	}
}

// slowLogLen answers SLOWLOG LEN.
func (c *conn) slowLogLen([][]byte) {
	l := &c.server.slowLog
	l.mu.Lock()
	defer l.mu.Unlock()
	c.integer(int64(len(l.entries)))
}

// slowLogReset answers SLOWLOG RESET.
func (c *conn) slowLogReset([][]byte) {
	l := &c.server.slowLog
	l.mu.Lock()
	l.entries = nil
	l.mu.Unlock()
	c.ok()
}
