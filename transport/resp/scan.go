package resp

import (
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/tidwall/redcon"

	"pxkv/node/kv"
	"pxkv/ring"
)

const (
	// scanTime is how long one SCAN goes on through empty partitions.
	scanTime = 100 * time.Millisecond
	// largestCount is what COUNT asks for at most.
	largestCount = 10_000
)

// scan answers SCAN. The cursor is a position in the order of ring.Position, so it needs no
// memory here and survives everything.
func (c *conn) scan(args [][]byte) {
	from, ok := parseCursor(args[1])
	if !ok {
		c.fail("ERR invalid cursor")
		return
	}
	count, pattern, strings := 10, []byte(nil), true
	for i := 2; i < len(args); i += 2 {
		switch {
		case i+1 == len(args):
			c.fail(errSyntax)
			return
		case is(args[i], "count"):
			n, ok := kv.ParseInt(args[i+1])
			if !ok {
				c.fail(errNotInteger)
				return
			}
			if n < 1 {
				c.fail(errSyntax)
				return
			}
			count = int(min(n, largestCount))
		case is(args[i], "match"):
			pattern = args[i+1]
		case is(args[i], "type"):
			strings = is(args[i+1], "string") // every value is one
		default:
			c.fail(errSyntax)
			return
		}
	}
	found, seen, matched := c.ready[:0], 0, 0
	for {
		keys, next, err := c.walk(from, count-seen)
		if err != nil {
			c.failed(asError(err))
			return
		}
		for _, key := range keys {
			if strings && (pattern == nil || matches(pattern, key)) {
				found = redcon.AppendBulk(found, key)
				matched++
			}
		}
		seen += len(keys)
		if from = next; from == 0 || seen >= count || time.Since(c.began) > scanTime {
			break
		}
	}
	c.array(2)
	c.bulkText(strconv.FormatUint(from, 10))
	c.array(matched)
	c.out = append(c.out, found...)
	c.ready = found[:0]
}

// walk asks for keys at or behind a position.
func (c *conn) walk(from uint64, count int) ([][]byte, uint64, error) {
	ctx := kv.NewDeadline(c.server.base, time.Now().Add(c.server.opt.RequestTimeout))
	defer ctx.Release()
	return c.server.service.Walk(ctx, from, count)
}

// parseCursor reads a cursor like C's strtoul, which Redis uses.
func parseCursor(b []byte) (uint64, bool) {
	if len(b) == 0 {
		return 0, true
	}
	if b[0] == '+' {
		b = b[1:]
	}
	n, err := strconv.ParseUint(string(b), 10, 64)
	return n, err == nil
}

// keys answers KEYS. The keys stream through; what is kept is those that match, up to the
// limit of answers that wait for a client.
func (c *conn) keys(args [][]byte) {
	ctx := kv.NewDeadline(c.server.base, time.Now().Add(longList))
	defer ctx.Release()
	found, n := c.ready[:0], 0
	for item, err := range c.server.service.List(ctx, kv.ListQuery{Prefix: literalPrefix(args[1]), KeysOnly: true}) {
		if err != nil {
			c.failed(asError(err))
			return
		}
		if !matches(args[1], item.Key) {
			continue
		}
		before := len(found)
		found = redcon.AppendBulk(found, item.Key)
		n++
		if len(found) > c.server.opt.MaxOutputBytes-sendAbove || !c.charge(len(found)-before) {
			c.fail("ERR the answer is too large: use SCAN")
			return
		}
	}
	c.array(n)
	c.out = append(c.out, found...)
	c.ready = found[:0]
}

// longList is how long a walk through the whole keyspace may take.
const longList = 10 * time.Minute

// dbSize answers DBSIZE with the number of keys of the whole cluster.
func (c *conn) dbSize([][]byte) {
	ctx := kv.NewDeadline(c.server.base, time.Now().Add(longList))
	defer ctx.Release()
	n, err := c.server.service.CountKeys(ctx)
	if err != nil {
		c.failed(asError(err))
		return
	}
	c.integer(n)
}

// randomKey answers RANDOMKEY: one of the next keys behind a random position.
func (c *conn) randomKey([][]byte) {
	from := rand.Uint64N(ring.EndPosition)
	for wrapped := false; ; {
		keys, next, err := c.walk(from, 8)
		switch {
		case err != nil:
			c.failed(asError(err))
			return
		case len(keys) > 0:
			c.bulk(keys[rand.IntN(len(keys))])
			return
		case next == 0 && wrapped:
			c.null()
			return
		}
		wrapped = wrapped || next == 0
		from = next
	}
}

// flush answers FLUSHALL and FLUSHDB: it deletes what a walk over all keys finds.
func (c *conn) flush(args [][]byte) {
	if len(args) > 2 || len(args) == 2 && !is(args[1], "async") && !is(args[1], "sync") {
		c.fail(errSyntax)
		return
	}
	if !c.server.opt.AllowFlush {
		c.fail("ERR " + c.cmd.name + " is off: start every node that may take it with --allow-flush")
		return
	}
	for from := uint64(0); ; {
		keys, next, err := c.walk(from, maxOperations)
		if err != nil {
			c.failed(asError(err))
			return
		}
		for len(keys) > 0 {
			some := keys[:min(len(keys), maxOperations)]
			keys = keys[len(some):]
			for _, key := range some {
				c.ask(kv.Command{Op: kv.OpDelete, Key: key})
			}
			c.began = time.Now()
			e := worstError(c.carryOut())
			c.forget()
			if e != nil {
				c.failed(e)
				return
			}
		}
		if from = next; from == 0 {
			break
		}
	}
	c.ok()
}
