package raftlog

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	_ "pxkv/deploy/properties"
)

// TestOutline compares an outline with the list of all entries.
func TestOutline(t *testing.T) {
	t.Parallel()
	type item struct {
		term uint64
		at   place
	}
	rapid.Check(t, func(t *rapid.T) {
		base := entryID{rapid.Uint64Range(0, 5).Draw(t, "base"), 1}
		o, term := newOutline(base), uint64(1)
		var log []item
		for step := range rapid.IntRange(1, 60).Draw(t, "steps") {
			index := base.index + uint64(rapid.IntRange(0, len(log)).Draw(t, "at"))
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			default:
				term += uint64(rapid.IntRange(0, 1).Draw(t, "newer"))
				it := item{term, place{uint64(step), 7, uint32(rapid.IntRange(1, 1000).Draw(t, "bytes"))}}
				log = append(log, it)
				o.push(it.term, it.at)
			case 7:
				log = log[:index-base.index]
				o.cut(index + 1)
			case 8, 9:
				if index > base.index {
					base = entryID{index, log[index-base.index-1].term}
					log = log[len(log)-int(o.last-index):]
				}
				o.truncate(index)
			}
			bytes, runs := int64(0), []uint64{}
			for i, it := range log {
				at := base.index + 1 + uint64(i)
				bytes += int64(it.at.size)
				if i == 0 || it.term != log[i-1].term {
					runs = append(runs, at)
				}
				if got := o.term(at); got != it.term || *o.place(at) != it.at {
					t.Fatalf("entry %d has term %d and is at %v, should be %v", at, got, *o.place(at), it)
				}
			}
			if o.base != base || o.last != base.index+uint64(len(log)) || o.term(base.index) != base.term ||
				o.bytes != bytes {
				t.Fatalf("outline is %+v, should be %v and %d entries of %d bytes", o, base, len(log), bytes)
			}
			if !slices.EqualFunc(o.runs, runs, func(r termRun, at uint64) bool { return r.index == at }) {
				t.Fatalf("runs are %v, should begin at %v", o.runs, runs)
			}
		}
	})
}
