package wal

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// What the log says that it takes is what its directory holds, but for the room that the newest segment
// has beforehand and the files that wait to be used again. It stays so whatever is appended, removed
// and read back, with records that are longer than a segment among them.
func TestBytesAreThoseOfTheDirectory(t *testing.T) {
	t.Parallel()
	const segment = 4 << 10
	for _, reuse := range []bool{false, true} {
		t.Run(fmt.Sprint("reuse ", reuse), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			rng := rand.New(rand.NewPCG(1, 0))
			begin := func() *Log {
				o := Options{FS: vfs.Default, Dir: dir, SegmentBytes: segment, Reuse: reuse}
				l, err := Open(o, func(uint64, []byte) error { return nil })
				must(t, err)
				return l
			}
			l := begin()
			oversized, removed := 0, 0
			for step := range 600 {
				what := ""
				switch n := rng.IntN(100); {
				case n < 70:
					what = "a record"
					must(t, l.Append(record(payload(rng.IntN(1000))), false, l.Full()))
				case n < 78:
					what = "a record that is longer than a segment"
					must(t, l.Append(record(strings.Repeat("x", segment+rng.IntN(5*segment))), false, l.Full()))
					oversized++
				case n < 97:
					what = "a removal"
					if _, ok := l.Oldest(); ok && len(l.segments) > 1 {
						must(t, l.RemoveOldest())
						removed++
					}
				default:
					what = "another start"
					must(t, l.Close())
					l = begin()
				}
				l.making.Wait()
				segmentFiles, files, newest, spares := directory(t, dir)
				bytes, segments := l.Bytes()
				empty := int64(0)
				if l.writing != nil {
					empty = newest - l.size.Load()
				}
				switch {
				case segments != segmentFiles || files != bytes+empty:
					t.Fatalf(
						"step %d, %s: %d files of segments have %d bytes, %d of them empty; the log says %d and %d",
						step, what, segmentFiles, files, empty, segments, bytes)
				case empty < 0 || empty >= segment || !reuse && empty > 0:
					t.Fatalf("step %d, %s: %d bytes are empty in the newest segment", step, what, empty)
				case len(spares) > maxSpares+1 || !reuse && len(spares) > 0:
					t.Fatalf("step %d, %s: %d files wait to be used again", step, what, len(spares))
				}
				for _, size := range spares {
					if size != segment {
						t.Fatalf("step %d, %s: a file of %d bytes waits to be used again", step, what, size)
					}
				}
			}
			if oversized < 20 || removed < 50 {
				t.Errorf("only %d long records and %d removals", oversized, removed)
			}
			must(t, l.Close())
		})
	}
}

// directory returns how many files of segments there are, the bytes of all and of the newest, and the
// bytes of each other file.
func directory(t *testing.T, dir string) (segments int, bytes, newest int64, others []int64) {
	t.Helper()
	entries, err := os.ReadDir(dir) // in the order of their names
	must(t, err)
	for _, e := range entries {
		info, err := e.Info()
		must(t, err)
		if filepath.Ext(e.Name()) == segmentSuffix {
			newest = info.Size()
			segments, bytes = segments+1, bytes+newest
		} else {
			others = append(others, info.Size())
		}
	}
	return segments, bytes, newest, others
}
