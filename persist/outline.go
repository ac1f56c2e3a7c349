package persist

import "slices"

// markBytes is how exactly an outline knows where in the log its bytes lie.
const markBytes = 16 << 10

// outline is what is kept in memory of a whole log: the terms of all its entries, and about
// where its bytes lie. Terms change rarely, so this is small however long the log.
//
// The log is the entries first() to last; base is the entry before the first. Bytes are
// counted from a point at or before base, which never moves back.
type outline struct {
	base  entryID
	last  uint64
	runs  []termRun // ascending in index; together they cover first..last
	marks []byteMark
	start int64 // bytes up to and including base: exact, or less than markBytes too small
	bytes int64 // bytes up to and including last
}

// termRun says that entries from index on have this term, up to the next run.
type termRun struct{ index, term uint64 }

// byteMark says how many bytes the log has up to and including an entry.
type byteMark struct {
	index uint64
	bytes int64
}

func newOutline(base entryID) outline { return outline{base: base, last: base.index} }

func (o *outline) first() uint64 { return o.base.index + 1 }

// size is the bytes of the entries first..last: exact, or less than markBytes too many.
func (o *outline) size() int64 {
	if o.last == o.base.index {
		return 0
	}
	return o.bytes - o.start
}

// lastTerm is the term of the last entry, or of base in an empty log.
func (o *outline) lastTerm() uint64 {
	if n := len(o.runs); n > 0 {
		return o.runs[n-1].term
	}
	return o.base.term
}

// term of the entry at index, which lies in base..last.
func (o *outline) term(index uint64) uint64 {
	if index == o.base.index {
		return o.base.term
	}
	return o.runs[o.run(index)].term
}

// run is the position of the run that covers index, which lies in first..last.
func (o *outline) run(index uint64) int {
	i, found := slices.BinarySearchFunc(o.runs, index, func(r termRun, at uint64) int {
		return compare(r.index, at)
	})
	if !found {
		i--
	}
	return i
}

// push appends the next entry.
func (o *outline) push(term uint64, bytes int) {
	o.last++
	o.bytes += int64(bytes)
	if n := len(o.runs); n == 0 || o.runs[n-1].term != term {
		o.runs = append(o.runs, termRun{o.last, term})
	}
	marked := o.start
	if n := len(o.marks); n > 0 {
		marked = o.marks[n-1].bytes
	}
	if o.bytes-marked >= markBytes {
		o.marks = append(o.marks, byteMark{o.last, o.bytes})
	}
}

// bytesFrom is how many bytes the entries from index on have: exact, or less than markBytes
// too many.
func (o *outline) bytesFrom(index uint64) int64 {
	if n := firstAbove(o.marks, index-1, func(m byteMark) uint64 { return m.index }); n > 0 {
		return o.bytes - o.marks[n-1].bytes
	}
	return o.bytes - o.start
}

// cut drops the entries from index on, which have that many bytes.
func (o *outline) cut(index uint64, dropped int64) {
	o.last = index - 1
	o.bytes -= dropped
	o.runs = o.runs[:firstAbove(o.runs, o.last, func(r termRun) uint64 { return r.index })]
	o.marks = o.marks[:firstAbove(o.marks, o.last, func(m byteMark) uint64 { return m.index })]
}

// truncate drops the entries up to and including index, which lies in base..last.
func (o *outline) truncate(index uint64) {
	if index == o.base.index {
		return
	}
	run := o.run(index)
	o.base = entryID{index, o.runs[run].term}
	if index == o.last {
		*o = newOutline(o.base)
		return
	}
	o.runs = slices.Delete(o.runs, 0, o.run(index+1))
	if o.runs[0].index <= index {
		o.runs[0].index = index + 1
	}
	gone := firstAbove(o.marks, index, func(m byteMark) uint64 { return m.index })
	if gone > 0 {
		o.start = o.marks[gone-1].bytes
		o.marks = slices.Delete(o.marks, 0, gone)
	}
}

// firstAbove is the position of the first item whose index is above limit.
func firstAbove[T any](items []T, limit uint64, index func(T) uint64) int {
	i, found := slices.BinarySearchFunc(items, limit, func(item T, at uint64) int { return compare(index(item), at) })
	if found {
		i++
	}
	return i
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
