package node

import "pxkv/node/kv"

// What a batch reads in a partition may be too long for one step. Each step is of one moment, but not of
// the same. So when all is read, the versions of all keys are asked for once more, which is short: where
// they are still those that were read, what was read is of that moment. What has changed is read again.

// mostCompares is how often that is done. Values that go on changing while they are read are answered as
// they were read, as are those of more keys than a step holds.
const mostCompares = 4

// pieces are the reads of a share that took several steps.
type pieces struct {
	places   []int // answered
	compared int
}

// takeReads answers what a step has read.
func (b *batch) takeReads(s *step) {
	p := s.share
	if s.dropped {
		for _, i := range p.reads[:len(s.read)] {
			b.answers[i].Err = kv.ErrOverloaded()
		}
		p.reads = p.reads[len(s.read):]
		return
	}
	for j := range s.read {
		b.answerRead(p.reads[j], &s.read[j])
	}
	read := p.reads[:len(s.read):len(s.read)]
	p.reads = p.reads[len(s.read):]
	if len(p.reads)+len(p.pieces.places) == 0 {
		return // in one step
	}
	p.pieces.places = append(p.pieces.places, read...)
	size := 0
	for _, i := range p.pieces.places {
		size += keyBytes(b.cmds[i].Key)
	}
	l := &b.n.o.Limits
	if len(p.pieces.places) > l.results() || size > l.RequestBytes || p.pieces.compared == mostCompares {
		p.pieces = pieces{compared: mostCompares}
	}
}

// askAgain makes a step of the versions of what was read in pieces.
func (b *batch) askAgain(s *step) {
	s.compares = true
	for _, i := range s.share.pieces.places {
		s.keys = append(s.keys, wanted{key: b.cmds[i].Key, part: kv.Part{Kind: kv.NoValue}})
	}
}

// compare takes the versions, and has what differs read again.
func (b *batch) compare(s *step) {
	p := s.share
	if s.err != nil || len(s.read) < len(s.keys) {
		return // once more
	}
	if s.dropped {
		for _, i := range p.pieces.places {
			b.answers[i] = kv.Answer{Err: kv.ErrOverloaded()}
		}
		p.pieces = pieces{compared: p.pieces.compared + 1}
		return
	}
	var same []int
	for j, i := range p.pieces.places {
		a := &b.answers[i]
		if s.read[j].Item.Version == a.Result.Version {
			same = append(same, i)
			continue
		}
		if a.Result.Item != nil {
			b.bytes -= len(a.Result.Item.Value.Data)
			b.account.Give(itemBytes(a.Result.Item))
		}
		*a = kv.Answer{}
		p.reads = append(p.reads, i)
	}
	p.pieces = pieces{compared: p.pieces.compared + 1}
	if len(p.reads) > 0 {
		b.n.metrics.torn.Inc()
		p.pieces.places = same
	}
}
