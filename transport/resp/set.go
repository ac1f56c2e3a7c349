package resp

import (
	"bytes"
	"math"
	"time"
	"unicode/utf8"

	"pxkv/node/kv"
)

// value is what a client writes: a string when it is UTF-8, else bytes.
func value(b []byte) kv.Value {
	if utf8.Valid(b) {
		return kv.Value{Kind: kv.String, Data: b}
	}
	return kv.Value{Kind: kv.Binary, Data: b}
}

// setOptions are the options of SET and GETEX.
type setOptions struct {
	cond    kv.Condition
	expiry  kv.Expiry
	get     bool
	keep    bool
	persist bool
	when    []byte        // the number behind EX, PX, EXAT, PXAT
	unit    time.Duration // of when
	at      bool          // when is a point in time
}

// parse reads options and reports false on a syntax error. GETEX takes PERSIST and times only.
func (o *setOptions) parse(words [][]byte, getEX bool) bool {
	for i := 0; i < len(words); i++ {
		var next []byte
		if i+1 < len(words) {
			next = words[i+1]
		}
		timed := func(unit time.Duration, at bool) bool {
			if next == nil || o.keep || o.persist || o.when != nil && (o.unit != unit || o.at != at) {
				return false
			}
			o.when, o.unit, o.at = next, unit, at
			i++
			return true
		}
		ok := false
		switch w := words[i]; {
		case is(w, "ex"):
			ok = timed(time.Second, false)
		case is(w, "px"):
			ok = timed(time.Millisecond, false)
		case is(w, "exat"):
			ok = timed(time.Second, true)
		case is(w, "pxat"):
			ok = timed(time.Millisecond, true)
		case getEX && is(w, "persist"):
			ok = o.when == nil
			o.persist = true
		case getEX:
		case is(w, "nx"):
			ok = o.cond.Kind == kv.CondNone || o.cond.Kind == kv.CondAbsent
			o.cond.Kind = kv.CondAbsent
		case is(w, "xx"):
			ok = o.cond.Kind == kv.CondNone || o.cond.Kind == kv.CondPresent
			o.cond.Kind = kv.CondPresent
		case is(w, "ifeq") && next != nil:
			ok = o.cond.Kind == kv.CondNone
			o.cond = kv.Condition{Kind: kv.CondValue, Value: next}
			i++
		case is(w, "get"):
			ok, o.get = true, true
		case is(w, "keepttl"):
			ok = o.when == nil
			o.keep = true
		}
		if !ok {
			return false
		}
	}
	return true
}

// resolve turns the time of the options into an expiry, or returns what is wrong with it.
func (o *setOptions) resolve(command string) *failure {
	switch {
	case o.keep:
		o.expiry.Kind = kv.ExpiryKeep
	case o.when != nil:
		ms, fault := expireMilliseconds(o.when, o.unit, o.at, command)
		if fault != nil {
			return fault
		}
		o.expiry = kv.Expiry{Kind: kv.ExpiryIn, MS: ms}
		if o.at {
			o.expiry.Kind = kv.ExpiryAt
		}
	}
	return nil
}

// expireMilliseconds reads a time that must be positive.
func expireMilliseconds(b []byte, unit time.Duration, at bool, command string) (ms int64, fault *failure) {
	ms, ok := kv.ParseInt(b)
	switch {
	case !ok:
		return 0, errNotInteger
	case ms <= 0 || unit == time.Second && ms > math.MaxInt64/1000:
		return 0, invalidExpire(command)
	case unit == time.Second:
		ms *= 1000
	}
	if !at && ms > math.MaxInt64-time.Now().UnixMilli() {
		return 0, invalidExpire(command)
	}
	return ms, nil
}

func invalidExpire(command string) *failure {
	return &failure{codeError, "invalid expire time in '" + command + "' command"}
}

// setCommand answers SET.
func setCommand(h *handler, args [][]byte) {
	var o setOptions
	if len(args) > 3 {
		if !o.parse(args[3:], false) {
			h.fail(errSyntax)
			return
		}
		if fault := o.resolve("set"); fault != nil {
			h.fail(fault)
			return
		}
	}
	h.ask(kv.Command{
		Op: kv.OpPut, Key: args[1], Value: value(args[2]), Cond: o.cond, Expiry: o.expiry, ReturnOld: o.get,
		Blind: true,
	})
	if o.get {
		h.later(renderValue)
		return
	}
	h.later(renderSet)
}

// renderSet writes OK, or null when the condition was not met.
func renderSet(h *handler, _ *waiting, answers []kv.Answer) {
	switch a := &answers[0]; {
	case a.Err != nil:
		h.failed(a.Err)
	case a.Result.Outcome == kv.Done:
		h.ok()
	case a.Result.Outcome == kv.ConditionFailed:
		h.null()
	default:
		h.unexpected(a.Result.Outcome)
	}
}

// setnxCommand answers SETNX.
func setnxCommand(h *handler, args [][]byte) {
	absent := kv.Condition{Kind: kv.CondAbsent}
	h.ask(kv.Command{Op: kv.OpPut, Key: args[1], Value: value(args[2]), Cond: absent, Blind: true})
	h.later(renderDone)
}

// renderDone writes 1 for what was done, 0 for what was not.
func renderDone(h *handler, _ *waiting, answers []kv.Answer) {
	switch a := &answers[0]; {
	case a.Err != nil:
		h.failed(a.Err)
	case a.Result.Outcome == kv.Done:
		h.integer(1)
	case a.Result.Outcome == kv.ConditionFailed, a.Result.Outcome == kv.NotFound:
		h.integer(0)
	default:
		h.unexpected(a.Result.Outcome)
	}
}

// setexCommand answers SETEX and PSETEX.
func setexCommand(h *handler, args [][]byte) {
	unit := time.Second
	if h.cmd.name == "psetex" {
		unit = time.Millisecond
	}
	ms, fault := expireMilliseconds(args[2], unit, false, h.cmd.name)
	if fault != nil {
		h.fail(fault)
		return
	}
	expiry := kv.Expiry{Kind: kv.ExpiryIn, MS: ms}
	h.ask(kv.Command{Op: kv.OpPut, Key: args[1], Value: value(args[3]), Expiry: expiry, Blind: true})
	h.later(renderSet)
}

// getsetCommand answers GETSET.
func getsetCommand(h *handler, args [][]byte) {
	h.ask(kv.Command{Op: kv.OpPut, Key: args[1], Value: value(args[2]), ReturnOld: true, Blind: true})
	h.later(renderValue)
}

// getdelCommand answers GETDEL.
func getdelCommand(h *handler, args [][]byte) {
	h.ask(kv.Command{Op: kv.OpDelete, Key: args[1], ReturnOld: true})
	h.later(renderValue)
}

// getexCommand answers GETEX, which reads when no option asks for more.
func getexCommand(h *handler, args [][]byte) {
	var o setOptions
	if !o.parse(args[2:], true) {
		h.fail(errSyntax)
		return
	}
	fault := o.resolve("getex")
	if fault != nil || o.when == nil && !o.persist {
		h.read(args[1])
		h.later(func(h *handler, w *waiting, answers []kv.Answer) {
			// Redis looks at the time only when the key is there.
			if fault != nil && answers[0].Err == nil && answers[0].Result.Item != nil {
				h.fail(fault)
				return
			}
			renderValue(h, w, answers)
		})
		return
	}
	h.ask(kv.Command{Op: kv.OpExpire, Key: args[1], Expiry: o.expiry, ReturnOld: true})
	h.later(renderValue)
}

// is reports whether a word is a keyword, which is given in lower case.
func is(word []byte, keyword string) bool {
	return len(word) == len(keyword) && bytes.EqualFold(word, []byte(keyword))
}
