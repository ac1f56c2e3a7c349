package node

import (
	"encoding/binary"
	"math"

	"pxkv/node/kv"
	"pxkv/node/rpc"
)

// keyBytes is at least what a key takes in a request, and what of its value is asked for.
func keyBytes(key []byte) int { return len(key) + binary.MaxVarintLen32 + kv.MaxPartBytes }

// step is what a share does next: the reads, and as much of the rest as one entry, and the answer,
// may hold. It is nil when there is no room for what that takes on its way.
func (b *batch) step(p *share) *step {
	s := &step{partition: p.Partition, share: p}
	l := &b.n.o.Limits
	size, results := 0, l.results()
	if len(p.reads) == 0 && len(p.pieces.places) > 0 {
		b.askAgain(s)
		return s
	}
	for _, i := range p.reads {
		size += keyBytes(b.cmds[i].Key)
		if len(s.keys) > 0 && size > l.RequestBytes || len(s.keys) == results {
			return s // the others come next
		}
		s.keys = append(s.keys, wanted{key: b.cmds[i].Key, part: b.cmds[i].Part})
	}
	if s.parts() || len(p.pieces.places) > 0 {
		return s // see there
	}
	asks := false
	for _, i := range p.rest {
		c := &b.cmds[i]
		size += c.EncodedSize()
		if s.commands > 0 && size > l.RequestBytes || s.commands == kv.MaxTransactionCommands ||
			s.commands == p.most && p.most > 0 || len(s.keys)+s.commands == results {
			break
		}
		asks = asks || c.Asks()
		s.commands++
		s.growth += c.Growth()
	}
	if s.commands > 0 && !b.makeUnit(s, asks) {
		return nil
	}
	return s
}

// makeUnit makes one log entry of as many commands as the step has. asks: some of them return values. It reports
// false when there is no room for it.
func (b *batch) makeUnit(s *step, asks bool) bool {
	p := s.share
	if s.commands == 1 && !asks {
		cs := []kv.Command{b.n.limited(&b.cmds[p.rest[0]])}
		if !b.holdUnit(s, cs) {
			return false
		}
		s.unit = cs[0].AppendTo(make([]byte, 0, cs[0].EncodedSize()))
		return true
	}
	room, least := b.n.o.Limits.UnitBytes, rpc.LeastRoom
	if p.room > 0 {
		room, least = p.room, p.room
	}
	if asks {
		if room = b.account.TakeSome(room, least); room == 0 {
			return false
		}
		s.room = room
	}
	tx := kv.Transaction{Commands: make([]kv.Command, s.commands), AnswerBytes: int64(room), Cut: true}
	if answersAreEndless {
		tx.AnswerBytes = math.MaxInt64
	}
	for j, i := range p.rest[:s.commands] {
		tx.Commands[j] = b.n.limited(&b.cmds[i])
	}
	if !b.holdUnit(s, tx.Commands) {
		b.account.Give(s.room)
		return false
	}
	s.unit, s.cut = tx.AppendTo(make([]byte, 0, tx.EncodedSize())), true
	s.values = s.room
	return true
}

// holdUnit packs what becomes an encoded unit, and counts that, and the request that takes it to another node.
func (b *batch) holdUnit(s *step, cs []kv.Command) bool {
	size := (&kv.Transaction{Commands: cs}).EncodedSize()
	if !b.account.Take(2 * size) {
		return false
	}
	s.saved = b.n.packAll(b.account, cs)
	b.account.Give(2 * s.saved)
	s.packs, s.held = s.saved > 0, 2*(size-s.saved)
	return true
}
