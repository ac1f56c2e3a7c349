package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

const dir = "log"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newDisk has an empty directory for a log.
func newDisk(t testing.TB) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	must(t, fs.MkdirAll(dir, 0o755))
	root, err := fs.OpenDir("/")
	must(t, err)
	must(t, errors.Join(root.Sync(), root.Close()))
	return fs
}

// open opens a log and returns the payloads of its records.
func open(fs vfs.FS, reuse bool) (*Log, []string, error) {
	var all []string
	next := uint64(0)
	l, err := Open(Options{
		FS: fs, Dir: dir, SegmentBytes: 4 << 10, Reuse: reuse,
	}, func(number uint64, payload []byte) error {
		if next != 0 && number != next {
			return fmt.Errorf("record %d where %d should be", number, next)
		}
		next = number + 1
		all = append(all, string(payload))
		return nil
	})
	return l, all, err
}

func record(payload string) []byte { return append(make([]byte, HeaderLen), payload...) }

// payload is long enough that a segment takes some twenty.
func payload(i int) string { return fmt.Sprintf("record %d %s", i, strings.Repeat("x", i*37%400)) }

func appendTo(t testing.TB, l *Log, from, to int, sync bool) {
	t.Helper()
	for i := from; i <= to; i++ {
		must(t, l.Append(record(payload(i)), sync, l.Full()))
	}
}

func want(t testing.TB, got []string, from, to int) {
	t.Helper()
	var all []string
	for i := from; i <= to; i++ {
		all = append(all, payload(i))
	}
	if !slices.Equal(got, all) {
		t.Fatalf("the log has %d records, should have those from %d to %d", len(got), from, to)
	}
}

func TestRecordsComeBack(t *testing.T) {
	t.Parallel()
	for _, reuse := range []bool{false, true} {
		fs := newDisk(t)
		for life := range 4 {
			l, got, err := open(fs, reuse)
			must(t, err)
			want(t, got, 1, life*100)
			if l.Last() != uint64(life*100) || !l.Full() {
				t.Errorf("last is %d", l.Last())
			}
			appendTo(t, l, life*100+1, life*100+100, life%2 == 0)
			for _, i := range []int{1, life*100 + 1, life*100 + 100} {
				b := make([]byte, len(payload(i))-3)
				must(t, l.Read(uint64(i), 3, b))
				if string(b) != payload(i)[3:] {
					t.Errorf("record %d reads as %q", i, b)
				}
			}
			if err := l.Read(uint64(life*100+101), 0, make([]byte, 1)); !errors.Is(err, ErrCorrupt) {
				t.Errorf("a record that is not there: %v", err)
			}
			must(t, l.Close())
		}
	}
}

func TestOldestSegmentsGo(t *testing.T) {
	t.Parallel()
	for _, reuse := range []bool{false, true} {
		fs := newDisk(t)
		l, _, err := open(fs, reuse)
		must(t, err)
		if l.RemoveOldest() == nil {
			t.Error("removed a segment from an empty log")
		}
		first, last := 1, 0
		for range 20 {
			appendTo(t, l, last+1, last+50, true)
			last += 50
			for _, segments := l.Bytes(); segments > 2; segments-- {
				gone, ok := l.Oldest()
				if !ok {
					t.Fatal("no old segment")
				}
				must(t, l.RemoveOldest())
				first = int(gone) + 1
			}
		}
		bytes, segments := l.Bytes()
		if segments != 2 || bytes > 10<<10 {
			t.Errorf("%d segments of %d bytes", segments, bytes)
		}
		if err := l.Read(uint64(first-1), 0, make([]byte, 1)); err == nil {
			t.Error("a record of a removed segment was read")
		}
		must(t, l.Close())
		names, err := fs.List(dir)
		must(t, err)
		if len(names) > 2+maxSpares+1 {
			t.Errorf("there are %v", names)
		}
		l, got, err := open(fs, reuse)
		must(t, err)
		want(t, got, first, last)
		must(t, l.Close())
	}
}

var errKilled = errors.New("killed")

// mortal is a disk as a process sees it that is killed when it has made so many changes more.
func mortal(fs vfs.FS, left *atomic.Int64) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && left.Add(-1) < 0 {
			return errKilled
		}
		return nil
	}))
}

// TestCrashes loses power again and again, at once after a write too, and finds every time all
// that was synced, and no more than was written. Or the process is killed, at any change: the next one
// finds all that was written, and what it found is there after a power loss. PXKV_CRASH_SEEDS says how
// many seeds to try.
func TestCrashes(t *testing.T) {
	t.Parallel()
	seeds := uint64(200)
	if n, err := strconv.ParseUint(os.Getenv("PXKV_CRASH_SEEDS"), 10, 64); err == nil {
		seeds = n
	}
	for seed := range seeds {
		percent := []int{0, 50, 100}[seed%3]
		rng := rand.New(rand.NewPCG(seed, 1))
		fs := newDisk(t)
		first, least, written := 1, 0, 0
		for life := range 8 {
			var left atomic.Int64
			left.Store(math.MaxInt64)
			l, got, err := open(mortal(fs, &left), seed%2 == 0)
			if err != nil {
				t.Fatalf("seed %d, life %d: %v", seed, life, err)
			}
			found := first + len(got) - 1
			if found < least || found > written {
				t.Fatalf("seed %d, life %d: found up to %d, want %d to %d", seed, life, found, least, written)
			}
			want(t, got, first, found)
			synced, whole := found, found // what was found may be relied on
			written = found
			kill := rng.IntN(2) == 0
			if kill {
				left.Store(rng.Int64N(200))
			}
			for range rng.IntN(120) {
				sync := rng.IntN(3) > 0
				if kill && l.Full() && rng.IntN(2) == 0 {
					left.Store(rng.Int64N(4)) // where one segment ends and the next begins
				}
				written++
				if err := l.Append(record(payload(written)), sync, l.Full()); err != nil {
					if !errors.Is(err, errKilled) {
						t.Fatalf("seed %d, life %d: %v", seed, life, err)
					}
					break
				}
				if whole = written; sync {
					synced = written
				}
				if _, segments := l.Bytes(); segments > 3 && rng.IntN(4) == 0 {
					rest := left.Swap(math.MaxInt64) // else nobody knows where the log begins
					gone, _ := l.Oldest()
					must(t, l.RemoveOldest())
					first = int(gone) + 1
					synced = max(synced, first-1)
					left.Store(rest)
				}
			}
			if least = synced; kill {
				left.Store(0)
				least = whole
			} else {
				fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
			}
			l.Abandon()
		}
	}
}

func content(t testing.TB, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(fs.PathJoin(dir, name))
	must(t, err)
	b, err := io.ReadAll(f)
	must(t, errors.Join(err, f.Close()))
	return b
}

func replace(t testing.TB, fs vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := fs.Create(fs.PathJoin(dir, name), vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = f.Write(b)
	must(t, errors.Join(err, f.Sync(), f.Close()))
}

// TestDamage flips each bit of a log in turn, or cuts it off. Only damage to the last record of
// a log that was not closed may look like a torn write; it must never look like anything else.
func TestDamage(t *testing.T) {
	t.Parallel()
	for _, closed := range []bool{true, false} {
		disk := newDisk(t)
		l, _, err := open(disk, false)
		must(t, err)
		appendTo(t, l, 1, 30, true) // two segments
		if closed {
			must(t, l.Close())
		}
		names, err := disk.List(dir)
		must(t, err)
		slices.Sort(names)
		if len(names) != 2 {
			t.Fatalf("segments %v", names)
		}
		noticed, lost := 0, 0
		try := func(name string, altered []byte) {
			fs := disk.CrashClone(vfs.CrashCloneCfg{})
			replace(t, fs, name, altered)
			l, got, err := open(fs, false)
			if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrFormat) {
				noticed++
				return
			}
			must(t, err)
			l.Abandon()
			if len(got) == 29 && !closed {
				lost++
				got = append(got, payload(30))
			}
			want(t, got, 1, 30)
		}
		for _, name := range names {
			b := content(t, disk, name)
			for at := range b {
				altered := bytes.Clone(b)
				altered[at] ^= 1 << (at % 8)
				try(name, altered)
			}
		}
		b := content(t, disk, names[0])
		for cut := 0; cut < len(b)-alignment; cut += 7 {
			try(names[0], b[:cut])
		}
		if noticed < 4000 || !closed && lost == 0 || closed && lost > 0 {
			t.Errorf("closed %v: noticed %d times, lost the last record %d times", closed, noticed, lost)
		}
		l.Abandon()
	}
}

// TestASealThatWasNotSyncedIsBeforeItIsBelieved: a process is killed after it wrote a seal and
// before it synced it; the next one goes on behind it, and then the power goes.
func TestASealThatWasNotSyncedIsBeforeItIsBelieved(t *testing.T) {
	t.Parallel()
	for _, reuse := range []bool{false, true} {
		fs := newDisk(t)
		l, _, err := open(fs, reuse)
		must(t, err)
		appendTo(t, l, 1, 3, true)
		l.making.Wait()
		_, err = l.file.Write(sealOf(l.current))
		must(t, err)
		next, got, err := open(fs, reuse)
		must(t, err)
		want(t, got, 1, 3)
		appendTo(t, next, 4, 4, true)
		next.making.Wait()
		_, got, err = open(fs.CrashClone(vfs.CrashCloneCfg{}), reuse)
		must(t, err)
		want(t, got, 1, 4)
	}
}

func TestSegmentsMustFollowEachOther(t *testing.T) {
	t.Parallel()
	disk := newDisk(t)
	l, _, err := open(disk, false)
	must(t, err)
	appendTo(t, l, 1, 60, true)
	must(t, l.Close())
	names, err := disk.List(dir)
	must(t, err)
	slices.Sort(names)
	must(t, disk.Remove(disk.PathJoin(dir, names[1])))
	if _, _, err := open(disk, false); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a segment is missing: %v", err)
	}
}

func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	l, _, err := open(newDisk(t), false)
	must(t, err)
	if l.Append(record(""), true, false) == nil {
		t.Error("a record without a payload was written")
	}
	must(t, l.Append(record("x"), true, false))
	must(t, l.Close())
}

// FuzzOpen reads a segment of any content.
func FuzzOpen(f *testing.F) {
	fs := newDisk(f)
	l, _, err := open(fs, false)
	must(f, err)
	appendTo(f, l, 1, 5, true)
	must(f, l.Close())
	good := content(f, fs, "0000000000000001.log")
	f.Add(good)
	f.Add(good[:len(good)-HeaderLen])
	f.Add(append(bytes.Clone(good[:100]), good...))
	f.Fuzz(func(t *testing.T, b []byte) {
		fs := newDisk(t)
		replace(t, fs, "0000000000000001.log", b)
		l, first, err := open(fs, false)
		if err != nil {
			return
		}
		must(t, l.Append(record("more"), true, false))
		must(t, l.Close())
		l, again, err := open(fs, false)
		must(t, err)
		if !slices.Equal(again, append(first, "more")) {
			t.Fatalf("%d records became %d", len(first), len(again))
		}
		must(t, l.Close())
	})
}
