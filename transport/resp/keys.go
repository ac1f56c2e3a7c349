package resp

import (
	"bytes"

	"pxkv/node/kv"
)

// del answers DEL and UNLINK.
func (c *conn) del(args [][]byte) {
	for _, key := range args[1:] {
		c.ask(kv.Command{Op: kv.OpDelete, Key: key})
	}
	c.later(func(c *conn, _ *waiting, answers []kv.Answer) {
		if e := worstError(answers); e != nil {
			c.failed(e)
			return
		}
		c.integer(done(answers))
	})
}

// exists answers EXISTS and TOUCH. A key that is named twice counts twice.
func (c *conn) exists(args [][]byte) {
	for _, key := range args[1:] {
		c.read(key)
	}
	c.later(func(c *conn, _ *waiting, answers []kv.Answer) {
		if e := firstError(answers); e != nil {
			c.failed(e)
			return
		}
		c.integer(done(answers))
	})
}

// done counts the operations that found their key.
func done(answers []kv.Answer) (n int64) {
	for i := range answers {
		if answers[i].Result.Outcome == kv.Done {
			n++
		}
	}
	return n
}

// typeOf answers TYPE: every value is a string.
func (c *conn) typeOf(args [][]byte) {
	c.readThen(args[1], func(c *conn) { c.status("none") }, func(c *conn, _ *kv.Item) {
		c.status("string")
	})
}

// rename answers RENAME and RENAMENX. Both keys must be of one partition.
func (c *conn) rename(args [][]byte) {
	onlyNew := c.cmd.name == "renamenx"
	if !c.server.samePartition(args[1], args[2]) {
		c.fail(errPartitions)
		return
	}
	op := kv.Command{Op: kv.OpRename, Key: args[1], NewKey: args[2]}
	if onlyNew {
		op.Cond.Kind = kv.CondNewAbsent
	}
	c.ask(op)
	c.later(renderRename)
}

func renderRename(c *conn, w *waiting, answers []kv.Answer) {
	a := &answers[0]
	onlyNew := w.cmd.name == "renamenx"
	switch {
	case a.Err != nil:
		c.failed(a.Err)
	case a.Result.Outcome == kv.NotFound:
		c.fail(errNoSuchKey)
	case a.Result.Outcome == kv.ConditionFailed && onlyNew:
		c.integer(0)
	case a.Result.Outcome != kv.Done:
		c.unexpected(a.Result.Outcome)
	case onlyNew:
		c.integer(1)
	default:
		c.ok()
	}
}

// objectEncoding answers OBJECT ENCODING with the encoding that Redis gives to such a value
// when it is set.
func (c *conn) objectEncoding(args [][]byte) {
	c.readThen(args[2], (*conn).null, func(c *conn, it *kv.Item) {
		c.bulkText(encoding(it.Value.Data))
	})
}

func encoding(b []byte) string {
	if _, integer := kv.ParseInt(b); integer {
		return "int"
	}
	if len(b) <= 44 {
		return "embstr"
	}
	return "raw"
}

// memoryUsage answers MEMORY USAGE with about what the key takes on each replica.
func (c *conn) memoryUsage(args [][]byte) {
	for i := 3; i < len(args); i++ {
		if !is(args[i], "samples") || i+1 == len(args) {
			c.fail(errSyntax)
			return
		}
		i++
		n, ok := kv.ParseInt(args[i])
		if !ok {
			c.fail(errNotInteger)
			return
		}
		if n < 0 {
			c.fail(errSyntax)
			return
		}
	}
	key := bytes.Clone(args[2])
	c.readThen(args[2], (*conn).null, func(c *conn, it *kv.Item) {
		c.integer(int64(recordOverhead + len(key) + len(it.Value.Data) + len(it.Value.ContentType)))
	})
}

// recordOverhead is about what a record takes besides key and value.
const recordOverhead = 40
