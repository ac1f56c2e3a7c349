package resp

import "pxkv/node/kv"

// getCommand answers GET.
func getCommand(h *handler, args [][]byte) {
	h.read(args[1])
	h.later(renderValue)
}

// renderValue writes the value that was read, or that was there before, or null.
func renderValue(h *handler, _ *waiting, answers []kv.Answer) {
	switch a := &answers[0]; {
	case a.Err != nil:
		h.failed(a.Err)
	case a.Result.Item == nil:
		h.null()
	default:
		h.bulk(a.Result.Item.Value.Data)
	}
}

// mgetCommand answers MGET.
func mgetCommand(h *handler, args [][]byte) {
	for _, key := range args[1:] {
		h.read(key)
	}
	h.later(func(h *handler, w *waiting, answers []kv.Answer) {
		if e := firstError(answers); e != nil {
			h.failed(e)
			return
		}
		h.array(len(answers))
		for i := range answers {
			renderValue(h, w, answers[i:i+1])
		}
	})
}

// msetCommand answers MSET. The pairs of a partition are written at a stroke.
func msetCommand(h *handler, args [][]byte) {
	if len(args)%2 == 0 {
		h.fail(wrongArity("mset"))
		return
	}
	for i := 1; i < len(args); i += 2 {
		h.ask(kv.Command{Op: kv.OpPut, Key: args[i], Value: value(args[i+1]), Blind: true})
	}
	h.later(func(h *handler, w *waiting, answers []kv.Answer) {
		if e := worstError(answers); e != nil {
			h.failed(e)
			return
		}
		h.ok()
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

// msetnxCommand answers MSETNX, whose keys must be of one partition.
func msetnxCommand(h *handler, args [][]byte) {
	if len(args)%2 == 0 {
		h.fail(wrongArity("msetnx"))
		return
	}
	var t kv.Transaction
	for i := 1; i < len(args); i += 2 {
		t.Watches = append(t.Watches, kv.Watch{Key: args[i]})
		t.Commands = append(t.Commands, kv.Command{Op: kv.OpPut, Key: args[i], Value: value(args[i+1]), Blind: true})
	}
	res, fault := h.transact(&t)
	switch {
	case fault != nil:
		h.fail(fault)
	case res.Conflict:
		h.integer(0)
	default:
		h.integer(1)
	}
}

// strlenCommand answers STRLEN.
func strlenCommand(h *handler, args [][]byte) {
	h.look(args[1])
	h.then(func(h *handler) { h.integer(0) }, func(h *handler, r *kv.Result) { h.integer(r.Number) })
}

// appendCommand answers APPEND.
func appendCommand(h *handler, args [][]byte) {
	h.ask(kv.Command{Op: kv.OpAppend, Key: args[1], Value: kv.Value{Data: args[2]}})
	h.later(renderNumber)
}

// setrangeCommand answers SETRANGE.
func setrangeCommand(h *handler, args [][]byte) {
	offset, ok := kv.ParseInt(args[2])
	if !ok {
		h.fail(errNotInteger)
		return
	}
	if offset < 0 {
		h.fail(&failure{codeError, "offset is out of range"})
		return
	}
	h.ask(kv.Command{Op: kv.OpSetRange, Key: args[1], Offset: offset, Value: kv.Value{Data: args[3]}})
	h.later(renderNumber)
}

// getrangeCommand answers GETRANGE and SUBSTR.
func getrangeCommand(h *handler, args [][]byte) {
	start, ok := kv.ParseInt(args[2])
	end, ok2 := kv.ParseInt(args[3])
	if !ok || !ok2 {
		h.fail(errNotInteger)
		return
	}
	h.readPart(args[1], kv.Part{Kind: kv.RangeOfValue, Start: start, End: end})
	h.then(func(h *handler) { h.bulk(nil) }, func(h *handler, r *kv.Result) { h.bulk(r.Item.Value.Data) })
}
