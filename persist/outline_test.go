package persist

import (
	"testing"

	"pgregory.net/rapid"
)

// TestOutline compares an outline with the list of all entries.
func TestOutline(t *testing.T) {
	t.Parallel()
	type item struct {
		term  uint64
		bytes int
	}
	rapid.Check(t, func(t *rapid.T) {
		base := entryID{rapid.Uint64Range(0, 5).Draw(t, "base"), 1}
		o, term := newOutline(base), uint64(1)
		var log []item
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			index := base.index + uint64(rapid.IntRange(0, len(log)).Draw(t, "at"))
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			default:
				term += uint64(rapid.IntRange(0, 1).Draw(t, "newer"))
				it := item{term, rapid.IntRange(1, 3*markBytes/2).Draw(t, "bytes")}
				log = append(log, it)
				o.push(it.term, it.bytes)
			case 7:
				kept, dropped := log[:index-base.index], int64(0)
				for _, it := range log[index-base.index:] {
					dropped += int64(it.bytes)
				}
				estimate := o.bytesFrom(index + 1)
				if estimate < dropped || estimate >= dropped+markBytes {
					t.Fatalf("bytes from %d are %d, estimated %d", index+1, dropped, estimate)
				}
				log = kept
				o.cut(index+1, dropped)
			case 8, 9:
				if index > base.index {
					base = entryID{index, log[index-base.index-1].term}
					log = log[len(log)-int(o.last-index):]
				}
				o.truncate(index)
			}
			size := int64(0)
			for i, it := range log {
				size += int64(it.bytes)
				if got := o.term(base.index + 1 + uint64(i)); got != it.term {
					t.Fatalf("term of entry %d is %d, should be %d", base.index+1+uint64(i), got, it.term)
				}
			}
			if o.base != base || o.last != base.index+uint64(len(log)) || o.term(base.index) != base.term {
				t.Fatalf("outline is %+v, should be %v and %d entries", o, base, len(log))
			}
			if got := o.size(); got < size || got >= size+markBytes {
				t.Fatalf("size is %d, should be %d", got, size)
			}
		}
	})
}
