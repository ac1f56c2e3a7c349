package node

import (
	"cmp"
	"context"
	"slices"

	"pxkv/node/kv"
	"pxkv/node/rpc"
)

// leastOfValue is how many bytes of each value are asked for at least, where there is little room for all together.
const leastOfValue = 1 << 10

// readsWhole reports whether a step of a batch reads a value of any length, of which nothing is known.
func (s *step) readsWhole() bool {
	return s.share != nil && !s.share.long && slices.ContainsFunc(s.keys, wanted.whole)
}

func (w wanted) whole() bool { return w.part.Kind == kv.WholeValue }

// littleOf has steps read no more of their values than there is room for: which are longer is told all the same. Their
// units come later, since what reads parts has none; it comes first, so as to travel together.
func littleOf(steps []*step, place rpc.Place) []*step {
	values := 0
	for _, s := range steps {
		if s.readsWhole() {
			values += len(s.keys)
		}
	}
	end := int64(max(place.Room/values, leastOfValue)) - 1
	for _, s := range steps {
		if !s.readsWhole() {
			continue
		}
		s.unit, s.commands, s.saved, s.values, s.longer = nil, 0, 0, 0, place.Longer
		for i := range s.keys {
			if k := &s.keys[i]; k.whole() {
				k.part, k.little = kv.Part{Kind: kv.RangeOfValue, End: end}, true
			}
		}
	}
	return slices.SortedStableFunc(slices.Values(steps), func(a, b *step) int {
		return cmp.Compare(len(a.unit), len(b.unit))
	})
}

// leaveLonger leaves out what was read from the first value on that is longer than what was asked for. It is asked for
// again in a place, unless there is no room for it.
func (s *step) leaveLonger() {
	for i := range s.read {
		if r := &s.read[i]; !s.keys[i].little || r.Length == int64(len(r.Item.Value.Data)) {
			continue
		}
		if s.share.long = s.longer; !s.longer && i == 0 {
			s.err = kv.ErrOverloaded()
		}
		s.read = s.read[:i]
		return
	}
}

// long reports whether the first value that a step reads is long: it is asked for in a place. A step may read none
// where the long one was read here meanwhile.
func (s *step) long() bool {
	return s.share != nil && s.share.long && slices.ContainsFunc(s.keys, wanted.whole)
}

// await waits for a place, and asks for what is long. It reports false where there is none.
func (a *asking) await(ctx context.Context) bool {
	account := kv.AccountOf(ctx)
	place, e := a.n.client.AwaitPlace(ctx, a.to, account)
	if e != nil {
		a.fail(e, e)
		return false
	}
	for _, s := range a.steps {
		s.share.long = false
	}
	a.send(ctx, a.tally(account, place))
	return true
}
