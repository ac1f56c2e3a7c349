package resp

import (
	"slices"
	"time"

	"pxkv/node/kv"
)

const (
	// keepWords bounds the room for arguments that is used again.
	keepWords = 16 << 10
	// operationBytes is about what an operation takes with its answer, besides keys and values.
	operationBytes = 512
)

// pipeline is what is going on for the commands of a connection that arrived together. It is
// lent by a pool while there are any, so that idle connections hold none of it. Its methods are what the
// functions of commands use: to ask for operations, and to say how the answers become a reply.
type pipeline struct {
	server *Server
	replies
	cmd       *command // that is being carried out, or answered
	render    render   // set by the command's function, see later
	refusal   *failure // what a refused command is answered
	executing bool     // EXEC is carrying out the queued commands

	ops     []kv.Command // that the waiting commands need
	waiting []waiting    // commands that are not answered yet, in order
	ready   []byte       // answers of waiting commands that were known at once
	answers []kv.Answer  // room for the answer to a lone operation
	item    kv.Item      // the same
	words   [][]byte     // room for arguments
	began   time.Time
	// running counts what the commands hold that are being carried out: their operations, the values
	// that answer them, and the answers made of those.
	running kv.Account
	many    int // bytes of that for commands of very many operations
}

// waiting is a command whose answer must wait: for its operations, or for commands before it.
type waiting struct {
	cmd  *command
	args [][]byte
	// render writes the reply from the answers to the operations first to last. Without it the
	// reply is ready[first:last].
	render      render
	first, last int
	protocol    int     // that held when the command came: HELLO may stand behind it
	end         outcome // of what is ready
}

// render writes the reply of a command.
type render func(h *handler, w *waiting, answers []kv.Answer)

// ask adds an operation to the command that is being handled.
func (p *pipeline) ask(op kv.Command) { p.ops = append(p.ops, op) }

// read asks for a key's value.
func (p *pipeline) read(key []byte) { p.ask(kv.Command{Op: kv.OpRead, Key: key}) }

// look asks for what is known of a key, without its value.
func (p *pipeline) look(key []byte) { p.readPart(key, kv.Part{Kind: kv.NoValue}) }

// readPart asks for a part of a key's value, and its length.
func (p *pipeline) readPart(key []byte, part kv.Part) {
	p.ask(kv.Command{Op: kv.OpRead, Key: key, Part: part})
}

// then says how the absence of the key that was asked for, or what was found, becomes the reply.
func (p *pipeline) then(absent func(*handler), present func(*handler, *kv.Result)) {
	p.later(func(h *handler, _ *waiting, answers []kv.Answer) {
		switch a := &answers[0]; {
		case a.Err != nil:
			h.failed(a.Err)
		case a.Result.Item == nil:
			absent(h)
		default:
			present(h, &a.Result)
		}
	})
}

// later says how the operations that were asked for become the reply.
func (p *pipeline) later(r render) { p.render = r }

// failed writes the reply for an operation that has no result.
func (p *pipeline) failed(e *kv.Error) { p.fail(failureOf(e, p.cmd)) }

// unexpected is the reply to a result that the command cannot have. Nobody knows what was done.
func (p *pipeline) unexpected(o kv.Outcome) {
	p.failed(kv.Errorf(kv.Internal, "unexpected outcome %d", o))
}

// carryOut hands the operations on. A lone one takes the way that allocates nothing here.
func (p *pipeline) carryOut() []kv.Answer {
	if len(p.ops) == 0 {
		return nil
	}
	ctx := p.until(p.began.Add(p.server.opt.RequestTimeout))
	defer ctx.Release()
	if len(p.ops) > 1 || p.ops[0].ReturnOld { // what returns a value finds room for it first
		return p.server.service.Batch(ctx, p.ops)
	}
	if p.answers == nil {
		p.answers = make([]kv.Answer, 1)
	}
	a := &p.answers[0]
	*a = kv.Answer{}
	op := &p.ops[0]
	if op.Op != kv.OpRead {
		res, err := p.server.service.Write(ctx, op)
		a.Result, a.Err = res, kv.ErrorOf(err)
		return p.answers
	}
	res, err := p.server.service.Read(ctx, op.Key, kv.ReadOptions{Part: op.Part})
	if a.Err = kv.ErrorOf(err); err == nil {
		p.item = res.Item
		a.Result = readResult(&res, &p.item)
	}
	return p.answers
}

// transact carries out a transaction whose keys must be of one partition.
func (p *pipeline) transact(t *kv.Transaction) (kv.TransactionResult, *failure) {
	var first []byte
	for key := range t.Keys {
		if first == nil {
			first = key
		}
		if !p.server.samePartition(first, key) {
			return kv.TransactionResult{}, errPartitions
		}
	}
	ctx := p.until(p.began.Add(p.server.opt.RequestTimeout))
	defer ctx.Release()
	res, err := p.server.service.Transact(ctx, t)
	e := kv.ErrorOf(err)
	if e != nil && e.Kind == kv.Internal || e == nil && !res.Conflict && len(res.Results) != len(t.Commands) {
		return res, errOutcome // nobody can tell what was done
	}
	if e != nil {
		return res, failureOf(e, p.cmd)
	}
	return res, nil
}

// one carries out a lone operation at once.
func (p *pipeline) one(op kv.Command) (kv.Result, *kv.Error) {
	p.ask(op)
	defer p.forget()
	a := p.carryOut()[0]
	if a.Result.Item != nil {
		a.Result.Item = new(*a.Result.Item)
	}
	return a.Result, a.Err
}

// until is the context of what is to be done by a time, which counts what it brings.
func (p *pipeline) until(at time.Time) *kv.Deadline {
	ctx := kv.NewDeadline(p.server.base, at)
	ctx.Account = &p.running
	return ctx
}

// holdAnswers counts the answers that will be made of values, which are counted themselves, until
// they are sent: a client may take its time. Reads for which there is no room are refused.
func (p *pipeline) holdAnswers(ops []kv.Command, answers []kv.Answer) {
	size := valueBytes(answers)
	if size == 0 || p.running.Take(size) {
		return
	}
	for i := range answers {
		if ops[i].Op == kv.OpRead {
			answers[i] = kv.Answer{Err: kv.ErrOverloaded()}
		}
	}
	p.running.Force(valueBytes(answers)) // of what was done
}

// forget lets go of what was settled.
func (p *pipeline) forget() {
	if !accountKept {
		p.running.GiveAll()
	}
	p.many = 0
	clear(p.ops)
	clear(p.waiting)
	keep := p.server.opt.Limits.keepOperations()
	if cap(p.ops) > keep {
		p.ops = nil
	}
	if cap(p.waiting) > keep {
		p.waiting = nil
	}
	clear(p.answers)
	p.item = kv.Item{}
	p.ops, p.waiting, p.ready = p.ops[:0], p.waiting[:0], p.ready[:0]
}

// valueBytes is how long the values of answers are together.
func valueBytes(answers []kv.Answer) (size int) {
	for i := range answers {
		if item := answers[i].Result.Item; item != nil {
			size += len(item.Value.Data)
		}
	}
	return size
}

// leftForLater reports whether an operation is still to be carried out.
func leftForLater(answers []kv.Answer) bool {
	return slices.ContainsFunc(answers, func(a kv.Answer) bool { return a.Later })
}

// readResult is a read as the result of an operation.
func readResult(res *kv.ReadResult, item *kv.Item) kv.Result {
	if !res.Found {
		return kv.Result{Outcome: kv.NotFound, Receipt: res.Receipt}
	}
	return kv.Result{
		Outcome: kv.Done, Version: item.Version, Number: res.Length, Item: item, NowMS: res.NowMS, Receipt: res.Receipt,
	}
}

// firstError returns the first error among answers, or nil.
func firstError(answers []kv.Answer) *kv.Error {
	for i := range answers {
		if answers[i].Err != nil {
			return answers[i].Err
		}
	}
	return nil
}
