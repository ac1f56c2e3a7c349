package resp

import (
	"math"
	"strings"

	"pxkv/node/kv"
)

// incr answers INCR.
func (c *conn) incr(args [][]byte) { c.add(args[1], 1) }

// decr answers DECR.
func (c *conn) decr(args [][]byte) { c.add(args[1], -1) }

// incrBy answers INCRBY.
func (c *conn) incrBy(args [][]byte) {
	delta, ok := kv.ParseInt(args[2])
	if !ok {
		c.fail(errNotInteger)
		return
	}
	c.add(args[1], delta)
}

// decrBy answers DECRBY.
func (c *conn) decrBy(args [][]byte) {
	delta, ok := kv.ParseInt(args[2])
	switch {
	case !ok:
		c.fail(errNotInteger)
	case delta == math.MinInt64:
		c.fail("ERR decrement would overflow")
	default:
		c.add(args[1], -delta)
	}
}

func (c *conn) add(key []byte, delta int64) {
	c.ask(kv.Command{Op: kv.OpIncr, Key: key, Delta: delta})
	c.later(renderNumber)
}

// renderNumber writes the number that a command made, or why it could not.
func renderNumber(c *conn, _ *waiting, answers []kv.Answer) {
	a := &answers[0]
	if a.Err != nil {
		c.failed(a.Err)
		return
	}
	switch a.Result.Outcome {
	case kv.Done, kv.NotFound: // SETRANGE of nothing on nothing
		c.integer(a.Result.Number)
	case kv.NotInteger:
		c.fail(errNotInteger)
	case kv.Overflow:
		c.fail(errOverflow)
	case kv.ValueTooLarge:
		c.fail(errTooLong)
	default:
		c.unexpected(a.Result.Outcome)
	}
}

// incrByFloat answers INCRBYFLOAT.
func (c *conn) incrByFloat(args [][]byte) {
	if _, ok := kv.ParseFloat(args[2]); !ok {
		// Infinity is a number for Redis, but never a sum.
		switch strings.ToLower(strings.TrimLeft(string(args[2]), "+-")) {
		case "inf", "infinity":
			c.fail(errInfinite)
		default:
			c.fail(errNotFloat)
		}
		return
	}
	c.ask(kv.Command{Op: kv.OpIncrFloat, Key: args[1], Value: kv.Value{Data: args[2]}})
	c.later(func(c *conn, w *waiting, answers []kv.Answer) {
		a := &answers[0]
		if a.Err != nil {
			c.failed(a.Err)
			return
		}
		switch a.Result.Outcome {
		case kv.Done:
			renderValue(c, w, answers)
		case kv.NotFloat:
			c.fail(errNotFloat)
		case kv.NotFinite:
			c.fail(errInfinite)
		default:
			c.unexpected(a.Result.Outcome)
		}
	})
}
