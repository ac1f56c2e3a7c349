package node

import (
	"slices"

	"pxkv/node/kv"
	"pxkv/node/rpc"
)

// share is what a batch still has to do in one partition. Places are those in batch.cmds.
type share struct {
	rpc.Target
	reads   []int // of keys that nothing before them in the batch writes
	rest    []int // all else, in order, which comes after the reads
	pieces  pieces
	long    bool // the next value to read is: see step.little
	refused bool // an operation was refused because of the batch's size, and so is all behind it
	most    int  // commands of the next unit, when the last one was cut; 0: any number
	room    int  // how many bytes of values the next unit must be able to return; 0: what there is room for
}

// done reports whether all of a share is answered.
func (p *share) done() bool { return len(p.pieces.places)+len(p.reads)+len(p.rest) == 0 }

// share returns what there is to do in a partition.
func (b *batch) share(p kv.PartitionID) *share {
	s := b.byP[p]
	if s == nil {
		if b.byP == nil {
			b.byP = map[kv.PartitionID]*share{}
		}
		s = &share{Target: rpc.Target{Partition: p}}
		b.byP[p] = s
		b.shares = append(b.shares, s)
	}
	return s
}

// refuseAsking refuses what is left of a share from the first operation on that asks for a value.
func (b *batch) refuseAsking(p *share) {
	first := 0
	if len(p.reads) == 0 {
		for first < len(p.rest) && !b.cmds[p.rest[first]].Asks() {
			first++
		}
	}
	for _, i := range slices.Concat(p.reads, p.rest[first:]) {
		b.refuse(i)
	}
	p.reads, p.rest = nil, p.rest[:first]
}

// fail ends all that a share has left with one error. A read never has an unknown outcome.
func (b *batch) fail(p *share, e *kv.Error) {
	for _, i := range slices.Concat(p.reads, p.rest) {
		if b.answers[i].Err = e; e.Kind == kv.Unknown && b.cmds[i].Op == kv.OpRead {
			b.answers[i].Err = errTooLate(p.Partition)
		}
	}
	p.pieces.places, p.reads, p.rest = nil, nil, nil
}

// take answers what a step has done. It reports whether something was certainly not done and is
// to be tried again.
func (b *batch) take(s *step) (retry bool) {
	p := s.share
	b.account.Give(s.held + s.unused())
	if s.compares {
		b.compare(s)
	} else {
		b.takeReads(s)
	}
	if s.err == nil {
		if len(p.reads) > 0 {
			return false // the answer was long enough, or some have changed: they come next
		}
		p.Done()
		b.takeResults(s)
		return false
	}
	if b.n.client.Failed(&p.Target, s.err) {
		return true
	}
	s.err = p.Ended(s.err)
	left := p.rest[s.commands:]
	p.rest = p.rest[:s.commands]
	b.fail(p, s.err)
	p.rest = left
	if s.err.Kind == kv.Unknown { // what was not handed over with this step was certainly not done
		s.err = kv.Errorf(kv.Unavailable,
			"partition %s: not tried, since the outcome of what comes before is unknown", p.Partition)
	}
	b.fail(p, s.err)
	return false
}

// takeResults answers what a unit has done, which may be its beginning only.
func (b *batch) takeResults(s *step) {
	p := s.share
	for j := range s.result.Results {
		r := s.result.Results[j]
		r.Receipt = s.result.Receipt
		cut(&b.cmds[p.rest[j]], &r)
		b.answers[p.rest[j]].Result = r
		if r.Item != nil {
			b.bytes += len(r.Item.Value.Data)
		}
	}
	done := len(s.result.Results)
	p.rest = p.rest[done:]
	if done < s.commands || p.most > 0 {
		p.most = 2 * max(done, 1) // not all that is left goes through the log again each time
	}
	if done > 0 || s.unit == nil {
		return
	}
	// The first value alone is longer than what the unit might return.
	l := &b.n.o.Limits
	if s.values >= l.unit() {
		b.answers[p.rest[0]].Err = kv.Errorf(kv.TooLarge,
			"partition %s: the value is longer than the limit of %d bytes, and cannot be returned", p.Partition,
			l.ValueBytes)
		p.rest = p.rest[1:]
		return
	}
	if p.room = l.unit(); s.values < l.UnitBytes {
		p.room = l.UnitBytes
	}
}
