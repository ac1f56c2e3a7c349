package resp

import (
	"pxkv/node/kv"
)

var (
	errNested      = &failure{codeError, "MULTI calls can not be nested"}
	errWatchMulti  = &failure{codeError, "WATCH inside MULTI is not allowed"}
	errNotInMulti  = &failure{codeError, "Command not allowed inside a transaction"}
	errExecAbort   = &failure{codeExecAbort, "Transaction discarded because of previous errors."}
	errMultiTooBig = &failure{codeError, "the transaction is too large"}
)

// multiCommand answers MULTI.
func multiCommand(h *handler, _ [][]byte) {
	if !h.session.beginMulti() {
		h.fail(errNested)
		return
	}
	h.ok()
}

// discardCommand answers DISCARD.
func discardCommand(h *handler, _ [][]byte) {
	if h.session.multi == nil {
		h.fail(&failure{codeError, "DISCARD without MULTI"})
		return
	}
	h.session.endMulti()
	h.ok()
}

// enqueue keeps a command until EXEC.
func (h *handler) enqueue(cmd *command, args [][]byte) {
	if fault := h.session.queue(cmd, args); fault != nil {
		h.refuse(fault, args)
		return
	}
	h.run(&h.server.table.queued, args)
}

// execCommand answers EXEC: the queued commands become operations, these one transaction, and its
// results their replies.
func execCommand(h *handler, _ [][]byte) {
	m := h.session.multi
	switch {
	case m == nil:
		h.fail(&failure{codeError, "EXEC without MULTI"})
		return
	case m.failed:
		h.session.endMulti()
		h.fail(errExecAbort)
		return
	}
	self := h.cmd
	watches := h.session.watched
	h.executing = true
	for _, q := range m.commands {
		h.run(q.cmd, q.args)
	}
	h.executing = false
	h.cmd, h.end = self, outcomeOK
	res, fault := kv.TransactionResult{}, (*failure)(nil)
	if len(h.ops)+len(watches) > 0 {
		res, fault = h.transact(&kv.Transaction{Watches: watches, Commands: h.ops})
	}
	h.session.endMulti()
	switch {
	case fault != nil:
		h.fail(fault)
	case res.Conflict:
		h.nullArray()
	default:
		answers := make([]kv.Answer, len(res.Results))
		for i := range res.Results {
			answers[i].Result = res.Results[i]
		}
		h.running.Force(valueBytes(answers)) // it is done: the answers must be written
		h.array(len(m.commands))
		h.reply(answers)
		h.end = outcomeOK // whatever became of each
	}
	h.forget()
	h.render = nil
}

// watchCommand answers WATCH.
func watchCommand(h *handler, args [][]byte) {
	if h.session.multi != nil {
		h.fail(errWatchMulti)
		return
	}
	keys, first, watched := args[1:], args[1], h.session.watched
	if len(watched)+len(keys) > kv.MaxTransactionCommands {
		h.fail(errMultiTooBig)
		return
	}
	if len(watched) > 0 {
		first = watched[0].Key
	}
	for _, key := range keys {
		if !h.server.samePartition(first, key) {
			h.fail(errPartitions)
			return
		}
	}
	if !h.session.takeWatches(keys) {
		h.fail(errBuffers)
		return
	}
	for _, key := range keys {
		h.look(key)
	}
	answers := h.carryOut()
	defer h.forget()
	if e := firstError(answers); e != nil {
		h.failed(e)
		return
	}
	for i, key := range keys {
		h.session.watch(key, answers[i].Result.Item)
	}
	h.ok()
}

// unwatchCommand answers UNWATCH.
func unwatchCommand(h *handler, _ [][]byte) {
	if h.session.multi == nil && !h.executing {
		h.session.endWatch()
	}
	h.ok()
}
