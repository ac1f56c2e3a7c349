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

// get answers GET.
func (c *conn) get(args [][]byte) {
	c.read(args[1])
	c.later(renderValue)
}

// renderValue writes the value that was read, or that was there before, or null.
func renderValue(c *conn, _ *waiting, answers []kv.Answer) {
	switch a := &answers[0]; {
	case a.Err != nil:
		c.failed(a.Err)
	case a.Result.Item == nil:
		c.null()
	default:
		c.bulk(a.Result.Item.Value.Data)
	}
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

// resolve turns the time of the options into an expiry, or returns an error text.
func (o *setOptions) resolve(command string) string {
	switch {
	case o.keep:
		o.expiry.Kind = kv.ExpiryKeep
	case o.when != nil:
		ms, fault := expireMilliseconds(o.when, o.unit, o.at, command)
		if fault != "" {
			return fault
		}
		o.expiry = kv.Expiry{Kind: kv.ExpiryIn, MS: ms}
		if o.at {
			o.expiry.Kind = kv.ExpiryAt
		}
	}
	return ""
}

// expireMilliseconds reads a time that must be positive.
func expireMilliseconds(b []byte, unit time.Duration, at bool, command string) (ms int64, fault string) {
	ms, ok := parseInt(b)
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
	return ms, ""
}

func invalidExpire(command string) string {
	return "ERR invalid expire time in '" + command + "' command"
}

// set answers SET.
func (c *conn) set(args [][]byte) {
	var o setOptions
	if len(args) > 3 {
		if !o.parse(args[3:], false) {
			c.fail(errSyntax)
			return
		}
		if fault := o.resolve("set"); fault != "" {
			c.fail(fault)
			return
		}
	}
	c.ask(kv.Command{Op: kv.OpPut, Key: args[1], Value: value(args[2]), Cond: o.cond, Expiry: o.expiry, ReturnOld: o.get, Blind: true})
	if o.get {
		c.later(renderValue)
		return
	}
	c.later(renderSet)
}

// renderSet writes OK, or null when the condition was not met.
func renderSet(c *conn, _ *waiting, answers []kv.Answer) {
	switch a := &answers[0]; {
	case a.Err != nil:
		c.failed(a.Err)
	case a.Result.Outcome == kv.Done:
		c.ok()
	case a.Result.Outcome == kv.ConditionFailed:
		c.null()
	default:
		c.unexpected(a.Result.Outcome)
	}
}

// setNX answers SETNX.
func (c *conn) setNX(args [][]byte) {
	c.ask(kv.Command{Op: kv.OpPut, Key: args[1], Value: value(args[2]), Cond: kv.Condition{Kind: kv.CondAbsent}, Blind: true})
	c.later(renderDone)
}

// renderDone writes 1 for what was done, 0 for what was not.
func renderDone(c *conn, _ *waiting, answers []kv.Answer) {
	switch a := &answers[0]; {
	case a.Err != nil:
		c.failed(a.Err)
	case a.Result.Outcome == kv.Done:
		c.integer(1)
	case a.Result.Outcome == kv.ConditionFailed, a.Result.Outcome == kv.NotFound:
		c.integer(0)
	default:
		c.unexpected(a.Result.Outcome)
	}
}

// setEX answers SETEX and PSETEX.
func (c *conn) setEX(args [][]byte) {
	unit := time.Second
	if c.cmd.name == "psetex" {
		unit = time.Millisecond
	}
	ms, fault := expireMilliseconds(args[2], unit, false, c.cmd.name)
	if fault != "" {
		c.fail(fault)
		return
	}
	c.ask(kv.Command{Op: kv.OpPut, Key: args[1], Value: value(args[3]), Expiry: kv.Expiry{Kind: kv.ExpiryIn, MS: ms}, Blind: true})
	c.later(renderSet)
}

// getSet answers GETSET.
func (c *conn) getSet(args [][]byte) {
	c.ask(kv.Command{Op: kv.OpPut, Key: args[1], Value: value(args[2]), ReturnOld: true, Blind: true})
	c.later(renderValue)
}

// getDel answers GETDEL.
func (c *conn) getDel(args [][]byte) {
	c.ask(kv.Command{Op: kv.OpDelete, Key: args[1], ReturnOld: true})
	c.later(renderValue)
}

// getEX answers GETEX, which reads when no option asks for more.
func (c *conn) getEX(args [][]byte) {
	var o setOptions
	if !o.parse(args[2:], true) {
		c.fail(errSyntax)
		return
	}
	fault := o.resolve("getex")
	if fault != "" || o.when == nil && !o.persist {
		c.read(args[1])
		c.later(func(c *conn, w *waiting, answers []kv.Answer) {
			// Redis looks at the time only when the key is there.
			if fault != "" && answers[0].Err == nil && answers[0].Result.Item != nil {
				c.fail(fault)
				return
			}
			renderValue(c, w, answers)
		})
		return
	}
	c.ask(kv.Command{Op: kv.OpExpire, Key: args[1], Expiry: o.expiry, ReturnOld: true})
	c.later(renderValue)
}

// mget answers MGET.
func (c *conn) mget(args [][]byte) {
	for _, key := range args[1:] {
		c.read(key)
	}
	c.later(func(c *conn, w *waiting, answers []kv.Answer) {
		if e := firstError(answers); e != nil {
			c.failed(e)
			return
		}
		c.array(len(answers))
		for i := range answers {
			renderValue(c, w, answers[i:i+1])
		}
	})
}

// mset answers MSET. The pairs of a partition are written at a stroke.
func (c *conn) mset(args [][]byte) {
	if len(args)%2 == 0 {
		c.fail(wrongArity("mset"))
		return
	}
	for i := 1; i < len(args); i += 2 {
		c.ask(kv.Command{Op: kv.OpPut, Key: args[i], Value: value(args[i+1]), Blind: true})
	}
	c.later(func(c *conn, w *waiting, answers []kv.Answer) {
		if e := worstError(answers); e != nil {
			c.failed(e)
			return
		}
		c.ok()
	})
}

// worstError returns the error of a command of several writes: when some were done and some
// not, or one is unknown, then nobody should believe that nothing was.
func worstError(answers []kv.Answer) *kv.Error {
	e := firstError(answers)
	if e == nil {
		return nil
	}
	for i := range answers {
		if answers[i].Err == nil || answers[i].Err.Kind == kv.Unknown {
			return kv.ErrUnknown()
		}
	}
	return e
}

// msetNX answers MSETNX, whose keys must be of one partition.
func (c *conn) msetNX(args [][]byte) {
	if len(args)%2 == 0 {
		c.fail(wrongArity("msetnx"))
		return
	}
	var t kv.Transaction
	for i := 1; i < len(args); i += 2 {
		t.Watches = append(t.Watches, kv.Watch{Key: args[i]})
		t.Commands = append(t.Commands, kv.Command{Op: kv.OpPut, Key: args[i], Value: value(args[i+1]), Blind: true})
	}
	res, e := c.transact(&t)
	switch {
	case e != nil:
		c.failed(e)
	case res.Conflict:
		c.integer(0)
	default:
		c.integer(1)
	}
}

// strLen answers STRLEN.
func (c *conn) strLen(args [][]byte) {
	c.read(args[1])
	c.later(func(c *conn, _ *waiting, answers []kv.Answer) {
		switch a := &answers[0]; {
		case a.Err != nil:
			c.failed(a.Err)
		case a.Result.Item == nil:
			c.integer(0)
		default:
			c.integer(int64(len(a.Result.Item.Value.Data)))
		}
	})
}

// appendTo answers APPEND.
func (c *conn) appendTo(args [][]byte) {
	c.ask(kv.Command{Op: kv.OpAppend, Key: args[1], Value: kv.Value{Data: args[2]}})
	c.later(renderNumber)
}

// setRange answers SETRANGE.
func (c *conn) setRange(args [][]byte) {
	offset, ok := parseInt(args[2])
	if !ok {
		c.fail(errNotInteger)
		return
	}
	if offset < 0 {
		c.fail("ERR offset is out of range")
		return
	}
	c.ask(kv.Command{Op: kv.OpSetRange, Key: args[1], Offset: offset, Value: kv.Value{Data: args[3]}})
	c.later(renderNumber)
}

// getRange answers GETRANGE and SUBSTR.
func (c *conn) getRange(args [][]byte) {
	start, ok := parseInt(args[2])
	end, ok2 := parseInt(args[3])
	if !ok || !ok2 {
		c.fail(errNotInteger)
		return
	}
	c.read(args[1])
	c.later(func(c *conn, _ *waiting, answers []kv.Answer) {
		switch a := &answers[0]; {
		case a.Err != nil:
			c.failed(a.Err)
		case a.Result.Item == nil:
			c.bulk(nil)
		default:
			c.bulk(slice(a.Result.Item.Value.Data, start, end))
		}
	})
}

// slice is GETRANGE's part of b: both ends count from the end when they are negative, and
// are inclusive.
func slice(b []byte, start, end int64) []byte {
	if start < 0 && end < 0 && start > end {
		return nil
	}
	n := int64(len(b))
	if start < 0 {
		start = max(start+n, 0)
	}
	if end < 0 {
		end = max(end+n, 0)
	}
	end = min(end, n-1)
	if start > end || n == 0 {
		return nil
	}
	return b[start : end+1]
}

// is reports whether a word is a keyword, which is given in lower case.
func is(word []byte, keyword string) bool {
	return len(word) == len(keyword) && bytes.EqualFold(word, []byte(keyword))
}
