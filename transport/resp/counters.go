package resp

import (
	"math"
	"strings"

	"pxkv/node/kv"
)

// incrCommand answers INCR.
func incrCommand(h *handler, args [][]byte) { addTo(h, args[1], 1) }

// decrCommand answers DECR.
func decrCommand(h *handler, args [][]byte) { addTo(h, args[1], -1) }

// incrbyCommand answers INCRBY.
func incrbyCommand(h *handler, args [][]byte) {
	delta, ok := kv.ParseInt(args[2])
	if !ok {
		h.fail(errNotInteger)
		return
	}
	addTo(h, args[1], delta)
}

// decrbyCommand answers DECRBY.
func decrbyCommand(h *handler, args [][]byte) {
	delta, ok := kv.ParseInt(args[2])
	switch {
	case !ok:
		h.fail(errNotInteger)
	case delta == math.MinInt64:
		h.fail(&failure{codeError, "decrement would overflow"})
	default:
		addTo(h, args[1], -delta)
	}
}

func addTo(h *handler, key []byte, delta int64) {
	h.ask(kv.Command{Op: kv.OpIncr, Key: key, Delta: delta})
	h.later(renderNumber)
}

// renderNumber writes the number that a command made, or why it could not.
func renderNumber(h *handler, _ *waiting, answers []kv.Answer) {
	a := &answers[0]
	if a.Err != nil {
		h.failed(a.Err)
		return
	}
	switch a.Result.Outcome {
	case kv.Done, kv.NotFound: // SETRANGE of nothing on nothing
		h.integer(a.Result.Number)
	case kv.NotInteger:
		h.fail(errNotInteger)
	case kv.Overflow:
		h.fail(errOverflow)
	case kv.ValueTooLarge:
		h.fail(errTooLong)
	default:
		h.unexpected(a.Result.Outcome)
	}
}

// incrbyfloatCommand answers INCRBYFLOAT.
func incrbyfloatCommand(h *handler, args [][]byte) {
	if _, ok := kv.ParseFloat(args[2]); !ok {
		// Infinity is a number for Redis, but never a sum.
		switch strings.ToLower(strings.TrimLeft(string(args[2]), "+-")) {
		case "inf", "infinity":
			h.fail(errInfinite)
		default:
			h.fail(errNotFloat)
		}
		return
	}
	h.ask(kv.Command{Op: kv.OpIncrFloat, Key: args[1], Value: kv.Value{Data: args[2]}})
	h.later(func(h *handler, w *waiting, answers []kv.Answer) {
		a := &answers[0]
		if a.Err != nil {
			h.failed(a.Err)
			return
		}
		switch a.Result.Outcome {
		case kv.Done:
			renderValue(h, w, answers)
		case kv.NotFloat:
			h.fail(errNotFloat)
		case kv.NotFinite:
			h.fail(errInfinite)
		default:
			h.unexpected(a.Result.Outcome)
		}
	})
}
