package ring

import "slices"

// lead returns who shall lead each partition: who led it before, if he is still in its row, until everybody leads his
// share. No replica moves for it.
func (b *balance) lead() []int {
	leaders, leads := make([]int, len(b.rows)), make([]int, len(b.members))
	take := func(p, m int) {
		leaders[p] = m
		leads[m]++
	}
	for p, row := range b.rows {
		leaders[p] = -1
		if slices.Contains(row, b.led[p]) {
			take(p, b.led[p])
		}
	}
	low, high := len(b.rows)/len(b.members), ceilDiv(len(b.rows), len(b.members))
	for p, row := range b.rows {
		if leaders[p] < 0 {
			take(p, b.successor(p, row, leads, high))
		}
	}
	x := newExchange(b, func(p int) []int { return leaders[p : p+1] })
	x.low, x.high = slices.Repeat([]int{low}, len(b.members)), slices.Repeat([]int{high}, len(b.members))
	x.may = func(p, from, to int, free bool) bool {
		return slices.Contains(b.rows[p], to) && (!free || from != b.led[p] || to == b.led[p])
	}
	x.rank = func(p, _, to int) int {
		if b.owners[p] == to {
			return 0
		}
		return 1
	}
	x.hand = func(p, _, to int) { leaders[p] = to }
	x.level()
	return leaders
}

// successor returns who takes over from a leader that is gone: the owner, if he is there and leads less than his share,
// else who leads least, the first in the row among equals.
func (b *balance) successor(p int, row, leads []int, high int) int {
	if o := b.owners[p]; leads[o] < high && slices.Contains(row, o) {
		return o
	}
	return slices.MinFunc(row, func(a, b int) int { return leads[a] - leads[b] })
}
