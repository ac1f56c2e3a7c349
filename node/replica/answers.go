package replica

import (
	"pxkv/node/entry"
	"pxkv/node/kv"
)

// answers are what a turn owes. Whoever takes a request owns its answer: at every moment it is among what the turn was
// given, in its group, or on its way out, so that also a turn that ends in a panic leaves none without an answer, and
// none with two.
type answers struct {
	// What the turn was given and has not looked at yet.
	ops   []Op
	reads []ReadOp
	// replies, readReplies and after are released when the turn's effects can be read.
	replies, spare []answer
	readReplies    []readAnswer
	after          []func()
	leaving        []answer     // being released
	leavingReads   []readAnswer // likewise
}

// answer is a Reply on its way out.
type answer struct {
	to    func(entry.Reply)
	reply entry.Reply
}

// readAnswer is the answer to a ReadOp on its way out.
type readAnswer struct {
	to  func(*kv.Error)
	err *kv.Error
}

// nextOp takes the next write that the turn was given.
func (a *answers) nextOp() (op Op, ok bool) {
	if len(a.ops) == 0 {
		return Op{}, false
	}
	op, a.ops = a.ops[0], a.ops[1:]
	return op, true
}

// nextRead takes the next read.
func (a *answers) nextRead() (op ReadOp, ok bool) {
	if len(a.reads) == 0 {
		return ReadOp{}, false
	}
	op, a.reads = a.reads[0], a.reads[1:]
	return op, true
}

// reply hands an answer out at the end of the turn, when what it tells of can be read.
func (a *answers) reply(op Op, r entry.Reply) { a.replies = append(a.replies, answer{op.Reply, r}) }

func (a *answers) replyRead(op ReadOp, err *kv.Error) {
	a.readReplies = append(a.readReplies, readAnswer{op.Reply, err})
}

// release hands out what waited for the turn's effects. Answers may make more of both.
func (a *answers) release() {
	for len(a.replies) > 0 || len(a.readReplies) > 0 || len(a.after) > 0 {
		replies, after := a.replies, a.after
		a.leaving, a.leavingReads = a.replies, a.readReplies
		a.replies, a.readReplies, a.after = a.spare[:0], nil, nil
		for _, f := range after {
			f()
		}
		for len(a.leaving) > 0 {
			next := a.leaving[0]
			a.leaving = a.leaving[1:]
			next.to(next.reply)
		}
		for len(a.leavingReads) > 0 {
			next := a.leavingReads[0]
			a.leavingReads = a.leavingReads[1:]
			next.to(next.err)
		}
		clear(replies)
		a.spare = replies
	}
}

// refuse answers what no turn will look at.
func (a *answers) refuse(why *kv.Error) {
	if turnPanicHangs {
		a.ops, a.reads, a.leaving, a.leavingReads = nil, nil, nil, nil
	}
	for _, op := range a.ops {
		a.reply(op, entry.Reply{Err: why})
	}
	for _, op := range a.reads {
		a.replyRead(op, why)
	}
	a.ops, a.reads = nil, nil
}

// disown turns the answers of a turn that failed, those included that were just leaving, into what is true of them:
// its effects were perhaps not made.
func (a *answers) disown() {
	a.replies, a.readReplies = append(a.replies, a.leaving...), append(a.readReplies, a.leavingReads...)
	for i := range a.replies {
		if a.replies[i].reply.Err == nil {
			a.replies[i].reply = entry.Reply{Err: kv.ErrUnknown()}
		}
	}
	for i := range a.readReplies {
		a.readReplies[i].err = kv.Errorf(kv.Unavailable, "node is stopping")
	}
	a.after = nil
}
