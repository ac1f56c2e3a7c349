package resp

import "pxkv/node/kv"

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
	c.readThen(args[1], func(c *conn) { c.integer(0) }, func(c *conn, it *kv.Item) {
		c.integer(int64(len(it.Value.Data)))
	})
}

// appendTo answers APPEND.
func (c *conn) appendTo(args [][]byte) {
	c.ask(kv.Command{Op: kv.OpAppend, Key: args[1], Value: kv.Value{Data: args[2]}})
	c.later(renderNumber)
}

// setRange answers SETRANGE.
func (c *conn) setRange(args [][]byte) {
	offset, ok := kv.ParseInt(args[2])
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
	start, ok := kv.ParseInt(args[2])
	end, ok2 := kv.ParseInt(args[3])
	if !ok || !ok2 {
		c.fail(errNotInteger)
		return
	}
	c.readThen(args[1], func(c *conn) { c.bulk(nil) }, func(c *conn, it *kv.Item) {
		c.bulk(slice(it.Value.Data, start, end))
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
