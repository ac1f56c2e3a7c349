package raftlog

import (
	"cmp"
	"slices"
)

// outline is what is kept in memory of a whole log: where each entry lies, and the terms, which
// change rarely.
//
// The log is the entries first() to last; base is the entry before the first.
type outline struct {
	base   entryID
	last   uint64
	runs   []termRun // ascending in index; together they cover first..last
	places []place   // of first..last
	bytes  int64     // of them all
}

// termRun says that entries from index on have this term, up to the next run.
type termRun struct{ index, term uint64 }

// place is where an entry lies in the log of the node.
type place struct {
	batch        uint64 // its number; it may not be written yet
	offset, size uint32 // in the payload of its record
}

func newOutline(base entryID) outline { return outline{base: base, last: base.index} }

func (o *outline) first() uint64 { return o.base.index + 1 }

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
		return cmp.Compare(r.index, at)
	})
	if !found {
		i--
	}
	return i
}

// place of the entry at index, which lies in first..last.
func (o *outline) place(index uint64) *place { return &o.places[index-o.first()] }

// push appends the next entry.
func (o *outline) push(term uint64, at place) {
	o.last++
	o.bytes += int64(at.size)
	if o.lastTerm() != term || len(o.runs) == 0 {
		o.runs = append(o.runs, termRun{o.last, term})
	}
	o.places = append(o.places, at)
}

// cut drops the entries from index on, which lies in first..last+1.
func (o *outline) cut(index uint64) {
	keep := index - o.first()
	for _, at := range o.places[keep:] {
		o.bytes -= int64(at.size)
	}
	o.places = o.places[:keep]
	o.last = index - 1
	for n := len(o.runs); n > 0 && o.runs[n-1].index > o.last; n-- {
		o.runs = o.runs[:n-1]
	}
}

// truncate drops the entries up to and including index, which lies in base..last.
func (o *outline) truncate(index uint64) {
	if index == o.base.index {
		return
	}
	if index == o.last {
		*o = newOutline(entryID{index, o.lastTerm()})
		return
	}
	gone := index - o.base.index
	for _, at := range o.places[:gone] {
		o.bytes -= int64(at.size)
	}
	run := o.run(index)
	o.base = entryID{index, o.runs[run].term}
	o.places = o.places[gone:] // append moves the rest to a new array in time
	o.runs = slices.Delete(o.runs, 0, run)
	if o.runs[0].index <= index {
		o.runs[0].index = index + 1
	}
	if len(o.runs) > 1 && o.runs[1].index == o.runs[0].index {
		o.runs = slices.Delete(o.runs, 0, 1)
	}
}
