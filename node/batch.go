package node

import (
	"context"
	"time"

	"pxkv/node/kv"
	"pxkv/ring"
)

// Batch carries out many operations at once, reads (kv.OpRead) and writes mixed, with keys
// anywhere: each as Read or Write would, and those on one key as if one after the other. What is
// written in one partition is one log entry, unless that, or the values that it returns, would be
// too large: then it is several. What is read in one partition, of keys that the batch has not written
// before, is of one moment up to Limits.ReadBytes of values, and mostly beyond: see batch_pieces.go. There
// is one answer for each operation, in order; when values are long enough together, what asks for more is
// refused with Answer.Later. cmds is left alone, and not used any more when Batch returns.
func (n *Node) Batch(ctx context.Context, cmds []kv.Command) []kv.Answer {
	b := &batch{n: n, cmds: cmds, answers: make([]kv.Answer, len(cmds)), account: kv.AccountOf(ctx)}
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
	account *kv.Account // on which values, and what is on its way, are counted
	shares  []*share
	byP     map[kv.PartitionID]*share
	written map[string]bool // keys that commands before noted write
	noted   int
	bytes   int // of values in answers
	// items holds what was read, in one piece of memory: answers point into it.
	items []kv.Item
	boot  time.Duration // time of the first look at a lease: leases of that moment are enough
	// looks are at partitions led here, byLook their places when there are many.
	looks  []look
	byLook map[kv.PartitionID]int
}

// plan answers what is wrong, and reads of what is led here, and makes shares of everything else.
func (b *batch) plan() {
	s := b.n.o.Machine.State()
	room := looksRoom.Get().(*[]look)
	b.looks = (*room)[:0]
	for i := range b.cmds {
		c := &b.cmds[i]
		if err := c.Validate(b.n.o.MaxValueBytes); err != nil {
			b.answers[i].Err = kv.ErrorOf(err)
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
		if sh := b.byP[p]; sh != nil && sh.refused || early && b.full() {
			b.share(p).refused = true
			b.refuse(i)
			continue
		}
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
	b.together()
	if *room = b.looks; len(b.looks) <= fewLooks {
		clear(b.looks)
		looksRoom.Put(room)
	}
	b.looks = nil
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

func (b *batch) answerRead(i int, r *kv.ReadResult) {
	a := &b.answers[i]
	a.Result = kv.Result{Outcome: kv.NotFound, Receipt: r.Receipt}
	if !r.Found {
		return
	}
	b.bytes += len(r.Item.Value.Data)
	if a.Result.Number = r.Length; b.cmds[i].Part.Kind == kv.WholeValue {
		a.Result.Number = 0
	}
	a.Result.Outcome, a.Result.NowMS = kv.Done, r.NowMS
	a.Result.Version, a.Result.Deadline = r.Item.Version, r.Item.Deadline
	if b.items == nil {
		b.items = make([]kv.Item, 0, len(b.cmds))
	}
	b.items = append(b.items, r.Item)
	a.Result.Item = &b.items[len(b.items)-1]
}

// full reports whether the values in the answers are long enough together.
func (b *batch) full() bool { return b.bytes > b.n.o.Limits.BatchBytes }

// refuse answers what asks for a value when there are enough of them, and what is behind it.
func (b *batch) refuse(i int) {
	b.answers[i].Later = true
	b.answers[i].Err = kv.Errorf(kv.TooLarge,
		"Values of all keys together are over the limit of %d bytes: ask for fewer", b.n.o.Limits.BatchBytes)
}
