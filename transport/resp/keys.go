package resp

import (
	"bytes"

	"pxkv/node/kv"
)

// delCommand answers DEL and UNLINK.
func delCommand(h *handler, args [][]byte) {
	for _, key := range args[1:] {
		h.ask(kv.Command{Op: kv.OpDelete, Key: key})
	}
	h.later(func(h *handler, _ *waiting, answers []kv.Answer) {
		if e := worstError(answers); e != nil {
			h.failed(e)
			return
		}
		h.integer(done(answers))
	})
}

// existsCommand answers EXISTS and TOUCH. A key that is named twice counts twice.
func existsCommand(h *handler, args [][]byte) {
	for _, key := range args[1:] {
		h.look(key)
	}
	h.later(func(h *handler, _ *waiting, answers []kv.Answer) {
		if e := firstError(answers); e != nil {
			h.failed(e)
			return
		}
		h.integer(done(answers))
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

// typeCommand answers TYPE: every value is a string.
func typeCommand(h *handler, args [][]byte) {
	h.look(args[1])
	h.then(func(h *handler) { h.status("none") }, func(h *handler, _ *kv.Result) { h.status("string") })
}

// renameCommand answers RENAME and RENAMENX. Both keys must be of one partition.
func renameCommand(h *handler, args [][]byte) {
	onlyNew := h.cmd.name == "renamenx"
	if !h.server.samePartition(args[1], args[2]) {
		h.fail(errPartitions)
		return
	}
	op := kv.Command{Op: kv.OpRename, Key: args[1], NewKey: args[2]}
	if onlyNew {
		op.Cond.Kind = kv.CondNewAbsent
	}
	h.ask(op)
	h.later(renderRename)
}

func renderRename(h *handler, w *waiting, answers []kv.Answer) {
	a := &answers[0]
	onlyNew := w.cmd.name == "renamenx"
	switch {
	case a.Err != nil:
		h.failed(a.Err)
	case a.Result.Outcome == kv.NotFound:
		h.fail(errNoSuchKey)
	case a.Result.Outcome == kv.ConditionFailed && onlyNew:
		h.integer(0)
	case a.Result.Outcome != kv.Done:
		h.unexpected(a.Result.Outcome)
	case onlyNew:
		h.integer(1)
	default:
		h.ok()
	}
}

// objectEncodingCommand answers OBJECT ENCODING with the encoding that Redis gives to such a value
// when it is set.
func objectEncodingCommand(h *handler, args [][]byte) {
	h.readPart(args[2], kv.Part{Kind: kv.RangeOfValue, Start: 0, End: longestEmbedded - 1})
	h.then((*handler).null, func(h *handler, r *kv.Result) { h.bulkText(encoding(r.Item.Value.Data, r.Number)) })
}

// longestEmbedded is the longest string that Redis keeps beside its key's record.
const longestEmbedded = 44

// encoding tells it by a value's length and its beginning, in which an integer fits whole.
func encoding(beginning []byte, length int64) string {
	if length > longestEmbedded {
		return "raw"
	}
	if _, integer := kv.ParseInt(beginning); integer {
		return "int"
	}
	return "embstr"
}

// memoryUsageCommand answers MEMORY USAGE with about what the key takes on each replica.
func memoryUsageCommand(h *handler, args [][]byte) {
	for i := 3; i < len(args); i++ {
		if !is(args[i], "samples") || i+1 == len(args) {
			h.fail(errSyntax)
			return
		}
		i++
		n, ok := kv.ParseInt(args[i])
		if !ok {
			h.fail(errNotInteger)
			return
		}
		if n < 0 {
			h.fail(errSyntax)
			return
		}
	}
	key := bytes.Clone(args[2])
	h.look(args[2])
	h.then((*handler).null, func(h *handler, r *kv.Result) {
		h.integer(int64(recordOverhead+len(key)+len(r.Item.Value.ContentType)) + r.Number)
	})
}

// recordOverhead is about what a record takes besides key and value.
const recordOverhead = 40
