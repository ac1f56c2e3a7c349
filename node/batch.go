package node

import (
	"context"
	"slices"
	"time"

	"pxkv/node/kv"
	"pxkv/ring"
)

// maxBatchAnswer is what all items of a batch's answers may take together, in bytes. Reads beyond
// it are refused.
const maxBatchAnswer = 64 << 20

// Batch carries out many operations at once, reads (kv.OpRead) and writes mixed, with keys
// anywhere: each as Read or Write would, and those on one key as if one after the other. What is
// written in one partition is one log entry, unless that would be too large. There is one answer
// for each operation, in order; cmds is left alone, and not used any more when Batch returns.
func (n *Node) Batch(ctx context.Context, cmds []kv.Command) []kv.Answer {
	b := &batch{n: n, cmds: cmds, answers: make([]kv.Answer, len(cmds))}
	b.plan()
	if len(b.shares) > 0 {
		ctx, cancel := n.bound(ctx)
		defer cancel()
		b.run(ctx)
	}
	return b.answers
}

// batch is one call of Batch under way.
type batch struct {
	n       *Node
	cmds    []kv.Command
	answers []kv.Answer
	shares  []*share
	byP     map[kv.PartitionID]*share
	written map[string]bool // keys that commands before noted write
	noted   int
	bytes   int // of items read
	// items holds what was read, in one piece of memory: answers point into it.
	items []kv.Item
	boot  time.Duration // time of the first look at a lease: leases of that moment are enough
}

// share is what a batch still has to do in one partition. Places are those in batch.cmds.
type share struct {
	p       kv.PartitionID
	reads   []int // of keys that nothing before them in the batch writes
	rest    []int // all else, in order, which comes after the reads
	attempt int
	last    *kv.Error
}

// plan answers what is wrong, and reads of what is led here, and makes shares of everything else.
func (b *batch) plan() {
	s := b.n.o.Machine.State()
	for i := range b.cmds {
		c := &b.cmds[i]
		if err := c.Validate(b.n.o.MaxValueBytes); err != nil {
			b.answers[i].Err = asError(err)
			continue
		}
		if s == nil {
			b.answers[i].Err = errNotJoined()
			continue
		}
		p := ring.PartitionOfKey(c.Key, s.Partitions)
		if c.Op == kv.OpRename && ring.PartitionOfKey(c.NewKey, s.Partitions) != p {
			b.answers[i].Err = errSeveralPartitions()
			continue
		}
		early := c.Op == kv.OpRead && !b.writesBefore(i)
		// Behind a read that has to wait the others of the partition wait too: else the second read of
		// a key could find an older value than the first.
		if early && (b.byP[p] == nil || len(b.byP[p].reads) == 0) && b.readNow(i, p) {
			continue
		}
		share := b.share(p)
		if early {
			share.reads = append(share.reads, i)
		} else {
			share.rest = append(share.rest, i)
		}
	}
}

func errSeveralPartitions() *kv.Error {
	return kv.Errorf(kv.Invalid, "Keys are in different partitions: give them a common {hash tag}")
}

func (b *batch) share(p kv.PartitionID) *share {
	s := b.byP[p]
	if s == nil {
		if b.byP == nil {
			b.byP = map[kv.PartitionID]*share{}
		}
		s = &share{p: p}
		b.byP[p] = s
		b.shares = append(b.shares, s)
	}
	return s
}

// writesBefore reports whether the key of a read is written earlier in the batch.
func (b *batch) writesBefore(i int) bool {
	for ; b.noted < i; b.noted++ {
		if c := &b.cmds[b.noted]; c.Op != kv.OpRead {
			if b.written == nil {
				b.written = map[string]bool{}
			}
			b.written[string(c.Key)] = true
			if c.Op == kv.OpRename {
				b.written[string(c.NewKey)] = true
			}
		}
	}
	return b.written[string(b.cmds[i].Key)]
}

// readNow answers a read from the lease, when there is one and no deadline is due.
func (b *batch) readNow(i int, p kv.PartitionID) bool {
	if b.boot == 0 {
		b.boot = bootTime()
	}
	h := b.n.o.Loop.Handle(p)
	if h == nil || !h.HasLease(b.boot) {
		return false
	}
	res, due, e := b.n.readLocal(h, b.cmds[i].Key)
	if due || e != nil {
		return false
	}
	b.n.metrics.local.Inc()
	b.answerRead(i, &res)
	return true
}

func (b *batch) answerRead(i int, r *kv.ReadResult) {
	a := &b.answers[i]
	a.Result = kv.Result{Outcome: kv.NotFound, Receipt: r.Receipt}
	if !r.Found {
		return
	}
	if b.bytes += len(r.Item.Value.Data); b.bytes > maxBatchAnswer {
		a.Result, a.Err = kv.Result{}, kv.Errorf(kv.TooLarge, "Values of all keys together are over the limit of %d bytes: ask for fewer", maxBatchAnswer)
		return
	}
	a.Result.Outcome, a.Result.Version, a.Result.Deadline, a.Result.NowMS = kv.Done, r.Item.Version, r.Item.Deadline, r.NowMS
	if b.items == nil {
		b.items = make([]kv.Item, 0, len(b.cmds))
	}
	b.items = append(b.items, r.Item)
	a.Result.Item = &b.items[len(b.items)-1]
}

// run goes on until everything is answered. Each round asks every node that is needed once; what
// was certainly not done is tried again.
func (b *batch) run(ctx context.Context) {
	deadline, _ := ctx.Deadline()
	pause := firstPause
	for {
		retry := b.round(ctx)
		b.shares = slices.DeleteFunc(b.shares, func(p *share) bool { return len(p.reads)+len(p.rest) == 0 })
		if len(b.shares) == 0 {
			return
		}
		if !retry && ctx.Err() == nil {
			continue
		}
		if time.Until(deadline) <= pause || b.n.stop.Load() {
			b.giveUp()
			return
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			b.giveUp()
			return
		}
		pause = min(2*pause, longestPause)
		b.n.metrics.retries.Inc()
	}
}

// giveUp answers what is left: it was certainly not done.
func (b *batch) giveUp() {
	for _, p := range b.shares {
		if p.last == nil {
			p.last = errTooLate(p.p)
		}
		b.fail(p, b.n.gaveUp(p.p, p.last))
	}
}

// fail ends all that a share has left with one error. A read never has an unknown outcome.
func (b *batch) fail(p *share, e *kv.Error) {
	for _, i := range slices.Concat(p.reads, p.rest) {
		if b.answers[i].Err = e; e.Kind == kv.Unknown && b.cmds[i].Op == kv.OpRead {
			b.answers[i].Err = errTooLate(p.p)
		}
	}
	p.reads, p.rest = nil, nil
}

// round tries the next step of every share. It reports whether one was certainly not done.
func (b *batch) round(ctx context.Context) (retry bool) {
	byNode := map[kv.NodeID][]*step{}
	var nodes []kv.NodeID
	for _, p := range b.shares {
		to := b.n.routes.to(p.p, p.attempt)
		if to == 0 {
			p.last = kv.Errorf(kv.Unavailable, "partition %s: no node is known to hold it", p.p)
			p.attempt++
			retry = true
			continue
		}
		if byNode[to] == nil {
			nodes = append(nodes, to)
		}
		byNode[to] = append(byNode[to], b.step(p))
	}
	var asked []*asking
	for _, to := range nodes {
		if to != b.n.o.ID {
			asked = append(asked, b.n.askSteps(ctx, to, byNode[to])...)
		}
	}
	if here := byNode[b.n.o.ID]; here != nil {
		b.n.metrics.local.Add(float64(len(here)))
		b.n.carryOut(ctx, here)
	}
	for _, a := range asked {
		a.wait(ctx)
	}
	for _, to := range nodes {
		for _, s := range byNode[to] {
			retry = b.take(s) || retry
		}
	}
	return retry
}

// step is what a share does next: the reads, and as much of the rest as one entry may hold.
func (b *batch) step(p *share) *step {
	s := &step{partition: p.p, share: p}
	for _, i := range p.reads {
		s.keys = append(s.keys, b.cmds[i].Key)
	}
	size := 0
	for _, i := range p.rest {
		size += b.cmds[i].EncodedSize()
		if s.commands > 0 && (size > kv.MaxTransactionBytes-64 || s.commands == kv.MaxTransactionCommands) {
			break
		}
		s.commands++
	}
	switch s.commands {
	case 0:
	case 1:
		c := b.n.limited(&b.cmds[p.rest[0]])
		s.unit = c.AppendTo(make([]byte, 0, c.EncodedSize()))
	default:
		tx := kv.Transaction{Commands: make([]kv.Command, s.commands)}
		for j, i := range p.rest[:s.commands] {
			tx.Commands[j] = b.n.limited(&b.cmds[i])
		}
		s.unit = tx.AppendTo(make([]byte, 0, tx.EncodedSize()))
	}
	return s
}

// take answers what a step has done. It reports whether something was certainly not done and is
// to be tried again.
func (b *batch) take(s *step) (retry bool) {
	p := s.share
	for j := range s.read {
		b.answerRead(p.reads[j], &s.read[j])
	}
	p.reads = p.reads[len(s.read):]
	if s.err == nil {
		if len(p.reads) > 0 {
			return false // the answer was long enough: the others come next
		}
		for j := range s.result.Results {
			r := s.result.Results[j]
			r.Receipt = s.result.Receipt
			b.answers[p.rest[j]].Result = r
		}
		p.rest = p.rest[len(s.result.Results):]
		p.attempt = 0
		return false
	}
	p.last = s.err
	p.attempt++
	switch s.err.Kind {
	case kv.NotLeader:
		b.n.routes.learn(p.p, s.err.Leader)
		return true
	case kv.Unavailable:
		return true
	}
	left := p.rest[s.commands:]
	p.rest = p.rest[:s.commands]
	b.fail(p, s.err)
	p.rest = left
	if s.err.Kind == kv.Unknown { // what was not handed over with this step was certainly not done
		s.err = kv.Errorf(kv.Unavailable, "partition %s: not tried, since the outcome of what comes before is unknown", p.p)
	}
	b.fail(p, s.err)
	return false
}

// limited completes a command with what it must not exceed.
func (n *Node) limited(c *kv.Command) kv.Command {
	out := *c
	if out.Op == kv.OpAppend || out.Op == kv.OpSetRange {
		out.Limit = int64(n.o.MaxValueBytes)
	}
	return out
}
