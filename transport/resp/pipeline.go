package resp

import (
	"time"

	"pxkv/node/kv"
)

const (
	// maxOperations is how many operations are carried out together.
	maxOperations = 1024
	// maxWaiting is how many commands wait for that, those included that need no operation.
	maxWaiting = 4 * maxOperations
	// sendAbove is how many bytes of answers are gathered before they are sent.
	sendAbove = 64 << 10
	// keepOut is the largest buffer of answers that is used again.
	keepOut = 256 << 10
	// keepWords is the same for arguments, and keepOperations for operations.
	keepWords      = 16 << 10
	keepOperations = 2 * maxOperations
	// uncounted is how many bytes of values a pipeline may read before they count.
	uncounted = 1 << 20
	// operationBytes is about what an operation takes with its answer, besides keys and values.
	operationBytes = 512
)

// pipeline is what is going on for the commands of a connection that arrived together. It is
// lent by a pool while there are any, so that idle connections hold none of it.
type pipeline struct {
	ops     []kv.Command // that the waiting commands need
	waiting []waiting    // commands that are not answered yet, in order
	ready   []byte       // answers of waiting commands that were known at once
	out     []byte       // answers that were not sent yet
	answers []kv.Answer  // room for the answer to a lone operation
	item    kv.Item      // the same
	words   [][]byte     // room for arguments
	began   time.Time
	charged int // bytes of the server's budget, for commands of very many operations
}

// waiting is a command whose answer must wait: for its operations, or for commands before it.
type waiting struct {
	cmd  *command
	args [][]byte
	// render writes the reply from the answers to the operations first to last. Without it the
	// reply is ready[first:last].
	render      render
	first, last int
}

// render writes the reply of a command.
type render func(c *conn, w *waiting, answers []kv.Answer)

// ask adds an operation to the command that is being handled.
func (c *conn) ask(op kv.Command) { c.ops = append(c.ops, op) }

// read asks for a key's value.
func (c *conn) read(key []byte) { c.ask(kv.Command{Op: kv.OpRead, Key: key}) }

// readThen asks for a key's value and says how its absence, or the item, becomes the reply.
func (c *conn) readThen(key []byte, absent func(*conn), present func(*conn, *kv.Item)) {
	c.read(key)
	c.later(func(c *conn, _ *waiting, answers []kv.Answer) {
		switch a := &answers[0]; {
		case a.Err != nil:
			c.failed(a.Err)
		case a.Result.Item == nil:
			absent(c)
		default:
			present(c, a.Result.Item)
		}
	})
}

// later says how the operations that were asked for become the reply.
func (c *conn) later(r render) { c.render = r }

// run carries out one command, or makes it wait.
func (c *conn) run(cmd *command, args [][]byte) {
	if cmd.flags&alone != 0 && !c.executing {
		c.settle()
	}
	c.cmd, c.render = cmd, nil
	mark, first := len(c.out), len(c.ops)
	if len(args) > maxOperations && !c.charge(len(args)*operationBytes) {
		cmd, args = &c.server.table.refused, [][]byte{[]byte(errBuffers)}
	}
	if cmd.flags&alone != 0 && !c.executing {
		c.began = time.Now()
	}
	cmd.handle(c, args)
	switch {
	case c.render != nil:
		c.waiting = append(c.waiting, waiting{cmd: cmd, args: args, render: c.render, first: first, last: len(c.ops)})
	case len(c.waiting) > 0 || c.executing:
		from := len(c.ready)
		c.ready = append(c.ready, c.out[mark:]...)
		c.out = c.out[:mark]
		c.waiting = append(c.waiting, waiting{cmd: cmd, args: args, first: from, last: len(c.ready)})
	default:
		c.server.processed.Add(1)
		c.server.metrics.count(cmd, outcomeOf(c.out[min(mark, len(c.out)):]))
		if cmd.flags&alone != 0 {
			c.observe(cmd, args, 1, time.Since(c.began))
		}
	}
	if (len(c.ops) >= maxOperations || len(c.waiting) >= maxWaiting) && !c.executing {
		c.settle()
	}
}

// settle carries out the operations of the commands that wait, and writes their answers.
func (c *conn) settle() {
	if len(c.waiting) == 0 {
		c.forget()
		return
	}
	answers := c.carryOut()
	c.holdValues(answers)
	c.reply(answers)
	c.server.processed.Add(int64(len(c.waiting)))
	took := time.Since(c.began)
	var seen *command
	for i := range c.waiting {
		if w := &c.waiting[i]; w.render != nil && w.cmd != seen {
			seen = w.cmd
			c.server.metrics.observe(seen, took)
		}
	}
	if len(c.ops) > 0 {
		c.slow(c.waiting[0].cmd, c.waiting[0].args, len(c.waiting), took)
	}
	c.forget()
	c.began = time.Now()
}

// carryOut hands the operations on. A lone one takes the way that allocates nothing here.
func (c *conn) carryOut() []kv.Answer {
	if len(c.ops) == 0 {
		return nil
	}
	ctx := kv.NewDeadline(c.server.base, c.began.Add(c.server.opt.RequestTimeout))
	defer ctx.Release()
	if len(c.ops) > 1 {
		return c.server.service.Batch(ctx, c.ops)
	}
	if c.answers == nil {
		c.answers = make([]kv.Answer, 1)
	}
	a := &c.answers[0]
	*a = kv.Answer{}
	op := &c.ops[0]
	if op.Op != kv.OpRead {
		res, err := c.server.service.Write(ctx, op)
		a.Result, a.Err = res, asError(err)
		return c.answers
	}
	res, err := c.server.service.Read(ctx, op.Key, kv.ReadOptions{})
	if a.Err = asError(err); err == nil {
		c.item = res.Item
		a.Result = readResult(&res, &c.item)
	}
	return c.answers
}

// holdValues counts long values against the budget until they are sent, for a client may take its
// time. Reads for which there is no room are refused.
func (c *conn) holdValues(answers []kv.Answer) {
	size := 0
	for i := range answers {
		if item := answers[i].Result.Item; item != nil {
			size += len(item.Value.Data)
		}
	}
	if size <= uncounted || c.charge(size) {
		return
	}
	for i := range answers {
		if c.ops[i].Op == kv.OpRead {
			answers[i] = kv.Answer{Err: &kv.Error{Kind: kv.Unavailable, Text: "this node holds too many bytes of answers at the moment: retry"}}
		}
	}
}

// reply writes the answers of all commands that wait.
func (c *conn) reply(answers []kv.Answer) {
	for i := range c.waiting {
		w := &c.waiting[i]
		mark := len(c.out)
		if w.render == nil {
			c.out = append(c.out, c.ready[w.first:w.last]...)
		} else {
			c.cmd = w.cmd
			own := answers[w.first:w.last]
			if c.askAgain(w, own) {
				c.fail(errLongReads)
			} else {
				w.render(c, w, own)
			}
		}
		c.server.metrics.count(w.cmd, outcomeOf(c.out[mark:]))
		if len(c.out) > sendAbove {
			c.send()
		}
	}
}

// charge takes some of the budget until all is settled.
func (c *conn) charge(n int) bool {
	if !c.server.buffers.take(n) {
		return false
	}
	c.charged += n
	return true
}

// askAgain looks for reads that were refused because what was read before them is long enough. One
// that is a command of its own in a pipeline is asked again, alone. Of others it reports that there
// are some.
func (c *conn) askAgain(w *waiting, answers []kv.Answer) (refused bool) {
	for i := range answers {
		a, op := &answers[i], &c.ops[w.first+i]
		switch {
		case a.Err == nil && a.Result.Outcome == kv.ValueTooLarge && op.Op != kv.OpAppend && op.Op != kv.OpSetRange:
			return true
		case a.Err == nil || a.Err.Kind != kv.TooLarge || op.Op != kv.OpRead || len(answers) > 1 || len(c.ops) == 1:
			continue
		}
		c.send() // what was read so far need not wait beside it
		ctx := kv.NewDeadline(c.server.base, time.Now().Add(c.server.opt.RequestTimeout))
		res, err := c.server.service.Read(ctx, op.Key, kv.ReadOptions{})
		ctx.Release()
		*a = kv.Answer{Err: asError(err)}
		if err == nil {
			a.Result = readResult(&res, &res.Item)
		}
	}
	return false
}

// readResult is a read as the result of an operation.
func readResult(res *kv.ReadResult, item *kv.Item) kv.Result {
	if !res.Found {
		return kv.Result{Outcome: kv.NotFound, Receipt: res.Receipt}
	}
	return kv.Result{Outcome: kv.Done, Version: item.Version, Item: item, NowMS: res.NowMS, Receipt: res.Receipt}
}

// forget lets go of what was settled.
func (c *conn) forget() {
	c.server.buffers.give(c.charged)
	c.charged = 0
	clear(c.ops)
	clear(c.waiting)
	if cap(c.ops) > keepOperations {
		c.ops = nil
	}
	if cap(c.waiting) > keepOperations {
		c.waiting = nil
	}
	clear(c.answers)
	c.item = kv.Item{}
	c.in.words = c.in.words[:0] // of the commands that are answered; others are not read yet
	c.ops, c.waiting, c.ready = c.ops[:0], c.waiting[:0], c.ready[:0]
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
