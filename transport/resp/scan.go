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

// scanCommand answers SCAN. The cursor is a position in the order of ring.Position, so it needs no
// memory here and survives everything.
func scanCommand(h *handler, args [][]byte) {
	from, ok := parseCursor(args[1])
	if !ok {
		h.fail(&failure{codeError, "invalid cursor"})
		return
	}
	count, pattern, strings := 10, []byte(nil), true
	for i := 2; i < len(args); i += 2 {
		switch {
		case i+1 == len(args):
			h.fail(errSyntax)
			return
		case is(args[i], "count"):
			n, ok := kv.ParseInt(args[i+1])
			if !ok {
				h.fail(errNotInteger)
				return
			}
			if n < 1 {
				h.fail(errSyntax)
				return
			}
			count = int(min(n, largestCount))
		case is(args[i], "match"):
			pattern = args[i+1]
		case is(args[i], "type"):
			strings = is(args[i+1], "string") // every value is one
		default:
			h.fail(errSyntax)
			return
		}
	}
	found, seen := foundKeys{handler: h}, 0
	for {
		keys, next, err := h.walk(from, count-seen)
		if err != nil {
			h.failed(kv.ErrorOf(err))
			return
		}
		for _, key := range keys {
			if strings && (pattern == nil || kv.MatchGlob(pattern, key)) && !found.add(key) {
				h.fail(errBuffers)
				return
			}
		}
		seen += len(keys)
		if from = next; from == 0 || seen >= count || time.Since(h.began) > scanTime {
			break
		}
	}
	h.array(2)
	h.bulkText(strconv.FormatUint(from, 10))
	found.answer()
}

// foundKeys is a list of keys on its way to be an answer.
type foundKeys struct {
	handler *handler
	buf     []byte // as bulks
	count   int
}

// add appends a key, and counts its bytes, as long as there is room for them.
func (f *foundKeys) add(key []byte) bool {
	if need := len(f.buf) + len(key) + bulkBytes; need > cap(f.buf) {
		size := max(need, 2*cap(f.buf), leastAnswer)
		if !f.handler.running.Take(size) {
			return false
		}
		grown := append(make([]byte, 0, size), f.buf...)
		f.handler.running.Give(cap(f.buf))
		f.buf = grown
	}
	f.buf = redcon.AppendBulk(f.buf, key)
	f.count++
	return true
}

const (
	bulkBytes   = 16 // of a key in an answer, besides the key: "$4096" and two line ends
	leastAnswer = 1 << 10
)

// answer writes the list. A long one is not copied: it is sent behind the other answers.
func (f *foundKeys) answer() {
	h := f.handler
	h.array(f.count)
	if len(f.buf) <= h.server.opt.Limits.SendAbove {
		h.out = append(h.out, f.buf...)
		return
	}
	if h.send() {
		h.sender.send(f.buf, &h.running) // a failure is the next one's as well
	}
}

// walk asks for keys at or behind a position.
func (p *pipeline) walk(from uint64, count int) ([][]byte, uint64, error) {
	ctx := p.until(time.Now().Add(p.server.opt.RequestTimeout))
	defer ctx.Release()
	return p.server.service.Walk(ctx, from, count)
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

// keysCommand answers KEYS. The keys stream through; what is kept is those that match, up to the
// limit of answers that wait for a client.
func keysCommand(h *handler, args [][]byte) {
	ctx := h.until(time.Now().Add(longList))
	defer ctx.Release()
	found := foundKeys{handler: h}
	for item, err := range h.server.service.List(ctx, kv.ListQuery{Prefix: kv.GlobPrefix(args[1]), KeysOnly: true}) {
		if err != nil {
			h.failed(kv.ErrorOf(err))
			return
		}
		if !kv.MatchGlob(args[1], item.Key) {
			continue
		}
		if len(found.buf) > h.server.opt.MaxOutputBytes-h.server.opt.Limits.SendAbove {
			h.fail(&failure{codeError, "the answer is too large: use SCAN"})
			return
		}
		if !found.add(item.Key) {
			h.fail(errBuffers)
			return
		}
	}
	found.answer()
}

// longList is how long a walk through the whole keyspace may take.
const longList = 10 * time.Minute

// dbsizeCommand answers DBSIZE with the number of keys of the whole cluster.
func dbsizeCommand(h *handler, _ [][]byte) {
	ctx := h.until(time.Now().Add(longList))
	defer ctx.Release()
	n, err := h.server.service.CountKeys(ctx)
	if err != nil {
		h.failed(kv.ErrorOf(err))
		return
	}
	h.integer(n)
}

// randomkeyCommand answers RANDOMKEY: one of the next keys behind a random position.
func randomkeyCommand(h *handler, _ [][]byte) {
	from := rand.Uint64N(ring.EndPosition)
	for wrapped := false; ; {
		keys, next, err := h.walk(from, 8)
		switch {
		case err != nil:
			h.failed(kv.ErrorOf(err))
			return
		case len(keys) > 0:
			h.bulk(keys[rand.IntN(len(keys))])
			return
		case next == 0 && wrapped:
			h.null()
			return
		}
		wrapped = wrapped || next == 0
		from = next
	}
}

// flushCommand answers FLUSHALL and FLUSHDB: it deletes what a walk over all keys finds.
func flushCommand(h *handler, args [][]byte) {
	if len(args) > 2 || len(args) == 2 && !is(args[1], "async") && !is(args[1], "sync") {
		h.fail(errSyntax)
		return
	}
	if !h.server.opt.AllowFlush {
		h.fail(&failure{codeError, h.cmd.name + " is off: start every node that may take it with --allow-flush"})
		return
	}
	most := h.server.opt.Limits.Operations
	for from := uint64(0); ; {
		keys, next, err := h.walk(from, most)
		if err != nil {
			h.failed(kv.ErrorOf(err))
			return
		}
		for len(keys) > 0 {
			some := keys[:min(len(keys), most)]
			keys = keys[len(some):]
			for _, key := range some {
				h.ask(kv.Command{Op: kv.OpDelete, Key: key})
			}
			h.began = time.Now()
			e := worstError(h.carryOut())
			h.forget()
			if e != nil {
				h.failed(e)
				return
			}
		}
		if from = next; from == 0 {
			break
		}
	}
	h.ok()
}
