package node

import (
	"slices"
	"sync"

	"pxkv/node/kv"
	"pxkv/node/local"
)

// What a batch reads of partitions led here is answered from their leases while it is planned.

// look is a partition led here whose keys are being read from the lease.
type look struct {
	view  local.View // from before the first
	reads int        // answered
}

// looksRoom lends room for the looks of a batch while it is planned.
var looksRoom = sync.Pool{New: func() any { return new([]look) }}

// fewLooks is up to how many a walk finds one faster than a hash table.
const fewLooks = 16

// readNow answers a read from the lease, when there is one and no deadline is due.
func (b *batch) readNow(i int, p kv.PartitionID) bool {
	l := b.look(p)
	if l == nil {
		return false
	}
	res, due, e := b.n.readLocal(l.view, b.cmds[i].Key, b.cmds[i].Part, longestFor(b.account))
	if e != nil && e.Kind == kv.Overloaded {
		b.answers[i].Err = e
		return true
	}
	if due || e != nil {
		return false
	}
	if res.Found && !b.account.Take(itemBytes(&res.Item)) {
		b.answers[i].Err = kv.ErrOverloaded()
		return true
	}
	l.reads++
	b.n.metrics.Local.Inc()
	b.answerRead(i, &res)
	return true
}

// look returns what is read from the lease of a partition; nil when there is none.
func (b *batch) look(p kv.PartitionID) *look {
	if b.byLook != nil {
		if i, ok := b.byLook[p]; ok {
			return &b.looks[i]
		}
	} else if i := slices.IndexFunc(b.looks, func(l look) bool { return l.view.Partition() == p }); i >= 0 {
		return &b.looks[i]
	}
	if b.boot == 0 {
		b.boot = b.n.o.Boot()
	}
	h := b.n.o.Loop.Handle(p)
	if h == nil {
		return nil
	}
	v, leased := local.Leased(h, b.boot)
	if !leased {
		return nil
	}
	b.looks = append(b.looks, look{view: v})
	switch n := len(b.looks); {
	case b.byLook != nil:
		b.byLook[p] = n - 1
	case n > fewLooks:
		b.byLook = make(map[kv.PartitionID]int, 4*fewLooks)
		for i := range b.looks {
			b.byLook[b.looks[i].view.Partition()] = i
		}
	}
	return &b.looks[len(b.looks)-1]
}

// together sees to it that the reads of a partition are of one moment: what was read from a state
// that has changed meanwhile is read again, as is what others of the partition have to wait for.
func (b *batch) together() {
	var again map[kv.PartitionID][]int
	for i := range b.looks {
		l := &b.looks[i]
		p := l.view.Partition()
		sh := b.byP[p]
		if waits := sh != nil && len(sh.reads) > 0; l.reads > 0 && (waits || l.reads > 1 && !l.view.Holds()) {
			if again == nil {
				again = map[kv.PartitionID][]int{}
			}
			again[p] = nil
		}
	}
	if again == nil {
		return
	}
	for i := range b.answers {
		a := &b.answers[i]
		if places, ok := again[a.Result.Receipt.Partition]; ok && a.Result.Outcome != 0 {
			again[a.Result.Receipt.Partition] = append(places, i)
			if a.Result.Item != nil {
				b.bytes -= len(a.Result.Item.Value.Data)
				b.account.Give(itemBytes(a.Result.Item))
			}
			*a = kv.Answer{}
		}
	}
	for i := range b.looks {
		p := b.looks[i].view.Partition()
		if places := again[p]; places != nil {
			b.n.metrics.torn.Inc()
			sh := b.share(p)
			sh.reads = append(places, sh.reads...)
		}
	}
}
