package resp

import (
	"time"

	"pxkv/node/kv"
)

// handler carries out the commands of one client, and writes their replies. What a command does is a
// function of commands.go, which uses the methods of the pipeline.
type handler struct {
	server  *Server
	session *session
	in      *input // its words are lent with the pipeline
	sender  *sender
	leaving bool // a command was refused since the server stops

	*pipeline // lent while there are commands
}

// dispatch finds a command and checks all that can be checked without doing anything.
func (h *handler) dispatch(args [][]byte) {
	if isHTTP(args[0]) {
		h.server.refuseHTTP(h.session)
		return
	}
	if h.server.leaving.Load() {
		h.leaving = true
		h.session.failMulti()
		h.refuse(errLeaving, args)
		return
	}
	cmd, fault := h.server.table.find(args)
	if fault == nil {
		fault = cmd.checkKeys(args)
	}
	if fault == nil && h.session.multi != nil && cmd.flags&inMulti == 0 {
		h.enqueue(cmd, args)
		return
	}
	if fault != nil {
		h.session.failMulti()
		h.refuse(fault, args)
		return
	}
	h.run(cmd, args)
}

// refuse answers a command that is not carried out.
func (h *handler) refuse(why *failure, args [][]byte) {
	h.refusal = why
	h.run(&h.server.table.refused, args)
}

// run carries out one command, or makes it wait.
func (h *handler) run(cmd *command, args [][]byte) {
	if cmd.flags&alone != 0 && !h.executing {
		h.settle()
	}
	limits := &h.server.opt.Limits
	h.cmd, h.render = cmd, nil
	mark, first := len(h.out), len(h.ops)
	if len(args) > limits.Operations && !h.running.Take(len(args)*operationBytes) {
		cmd, h.refusal = &h.server.table.refused, errBuffers
	} else if len(args) > limits.Operations {
		h.many += len(args) * operationBytes
	}
	if cmd.flags&alone != 0 && !h.executing {
		h.began = time.Now()
	}
	protocol := h.protocol
	h.end = outcomeOK
	cmd.handle(h, args)
	switch {
	case h.render != nil:
		h.waiting = append(h.waiting, waiting{
			cmd: cmd, args: args, render: h.render, first: first, last: len(h.ops), protocol: protocol,
		})
	case len(h.waiting) > 0 || h.executing: // its answer is here, and its turn is not
		from := len(h.ready)
		h.ready = append(h.ready, h.out[mark:]...)
		h.out = h.out[:mark]
		h.waiting = append(h.waiting, waiting{
			cmd: cmd, args: args, first: from, last: len(h.ready), protocol: protocol, end: h.end,
		})
	default:
		h.server.processed.Add(1)
		h.server.metrics.count(cmd, h.end)
		if cmd.flags&alone != 0 {
			took := time.Since(h.began)
			h.server.metrics.observe(cmd, took)
			h.server.slowLog.note(h.session, cmd, args, 1, took)
			h.began = time.Now() // what it took is not taken from the commands behind it
		}
	}
	if (len(h.ops) >= limits.Operations || len(h.waiting) >= limits.Waiting) && !h.executing {
		h.settle()
	}
}

// settle carries out the operations of the commands that wait, and writes their answers.
func (h *handler) settle() {
	if len(h.waiting) > 0 {
		h.answerWaiting()
	}
	h.forget()
	h.in.words = h.in.words[:0] // of the commands that are answered; others are not read yet
}

func (h *handler) answerWaiting() {
	answers := h.carryOut()
	h.holdAnswers(h.ops, answers)
	h.reply(answers)
	h.server.processed.Add(int64(len(h.waiting)))
	took := time.Since(h.began)
	var seen *command
	for i := range h.waiting {
		if w := &h.waiting[i]; w.render != nil && w.cmd != seen {
			seen = w.cmd
			h.server.metrics.observe(seen, took)
		}
	}
	if len(h.ops) > 0 {
		h.server.slowLog.note(h.session, h.waiting[0].cmd, h.waiting[0].args, len(h.waiting), took)
	}
	h.began = time.Now()
}

// reply writes the answers of all commands that wait, each in the protocol that held when its
// command came.
func (h *handler) reply(answers []kv.Answer) {
	now := h.protocol
	for i := range h.waiting {
		w := &h.waiting[i]
		h.cmd, h.protocol = w.cmd, w.protocol
		var own []kv.Answer
		if w.render != nil {
			if own = answers[w.first:w.last]; leftForLater(own) {
				h.askRest(i, answers) // which sends, and empties h.out
			}
		}
		h.end = w.end
		if w.render == nil {
			h.out = append(h.out, h.ready[w.first:w.last]...)
		} else {
			w.render(h, w, own)
		}
		h.server.metrics.count(w.cmd, h.end)
		if len(h.out) > h.server.opt.Limits.SendAbove {
			h.send()
		}
	}
	h.protocol = now
}

// askRest has carried out what Batch left for later, from a waiting command on: it refuses what asks for
// values when those before are long enough together, and all behind it on the same key. So nothing
// comes too late when it is asked for again. What is answered so far is sent first.
func (h *handler) askRest(from int, answers []kv.Answer) {
	w := &h.waiting[from]
	h.send()
	clear(answers[:w.first])
	if more := h.running.Held() - h.many - 2*valueBytes(answers[w.first:]); more > 0 {
		h.running.Give(more)
	}
	var ops []kv.Command
	var places []int
	for i := w.first; i < len(answers); i++ {
		if answers[i].Later {
			ops, places = append(ops, h.ops[i]), append(places, i)
		}
	}
	ctx := h.until(time.Now().Add(h.server.opt.RequestTimeout))
	defer ctx.Release()
	again := h.server.service.Batch(ctx, ops)
	h.holdAnswers(ops, again)
	for j, i := range places {
		answers[i] = again[j]
	}
}

// send sends the answers. It reports false when the client is gone or does not take them.
func (h *handler) send() bool {
	ok := h.sender.send(h.out, &h.running)
	if h.sender.keeps(h.out) {
		h.out = nil
	}
	h.out = h.out[:0]
	return ok
}

// borrowPipeline takes a pipeline for the commands that have arrived.
func (h *handler) borrowPipeline() {
	h.pipeline = h.server.pipelines.Get().(*pipeline)
	h.protocol = h.session.protocol
	h.in.words, h.words = h.words, nil
}

// returnPipeline gives it back when all of them are answered.
func (h *handler) returnPipeline() {
	keep := h.server.opt.Limits.keepOut()
	if cap(h.out) > keep {
		h.out = nil
	}
	if cap(h.ready) > keep {
		h.ready = nil
	}
	if cap(h.in.words) <= keepWords {
		h.words = h.in.words
	}
	h.in.words = nil
	h.render, h.refusal = nil, nil
	h.server.pipelines.Put(h.pipeline)
	h.pipeline = nil
}
