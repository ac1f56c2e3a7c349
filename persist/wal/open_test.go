package wal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A process dies at some moment; the machine stays up, so that the next process reads what was
// written and never synced. It makes promises, and then the power goes.
func TestWhatOpenBelievesIsOnDisk(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		what string
		last func(l *Log) error // done by the process that dies
	}{
		{"records", func(l *Log) error { return l.Append(record("not synced"), false, false) }},
		{"a seal", func(l *Log) error { _, err := l.file.Write(sealOf(l.current)); return err }},
		{"half a seal", func(l *Log) error { _, err := l.file.Write(sealOf(l.current)[:9]); return err }},
		{"an empty segment", func(l *Log) error {
			if err := l.seal(); err != nil {
				return err
			}
			f, err := l.o.FS.Create(dir+"/0000000000000002.log", vfs.WriteCategoryUnspecified)
			return errors.Join(err, f.Close())
		}},
	} {
		for seed := range uint64(20) {
			disk := newDisk(t)
			l, _, err := open(disk, false)
			must(t, err)
			must(t, l.Append(record("promise"), true, false))
			must(t, tc.last(l))

			l, before, err := open(disk, false)
			must(t, err)
			must(t, l.Append(record("later promise"), true, false))
			after := disk.CrashClone(vfs.CrashCloneCfg{
				UnsyncedDataPercent: int(seed%3) * 50, RNG: rand.New(rand.NewPCG(seed, 1)),
			})
			_, got, err := open(after, false)
			if err != nil {
				t.Fatalf("%s: after the power loss: %v", tc.what, err)
			}
			if want := append(before, "later promise"); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%s: after the power loss there is %q, the process had %q", tc.what, got, want)
			}
		}
	}
}

// unchanging refuses to open what is there for writing.
type unchanging struct{ vfs.FS }

func (unchanging) OpenReadWrite(string, vfs.DiskWriteCategory, ...vfs.OpenOption) (vfs.File, error) {
	return nil, errors.New("this would be overwritten")
}

// With Fresh, a torn end is left behind with the file that has it: its place is not written to again.
func TestATornEndIsLeftBehind(t *testing.T) {
	t.Parallel()
	for _, torn := range []int{0, 10, HeaderLen, HeaderLen + 2} {
		disk := newDisk(t)
		l, _, err := open(disk, false)
		must(t, err)
		must(t, l.Append(record("promise"), true, false))
		_, err = l.file.Write(append(make([]byte, 0), record("torn")[:torn]...))
		must(t, err)
		l.Abandon()
		var all []string
		reopen := func(fs vfs.FS) *Log {
			all = nil
			l, err := Open(Options{FS: fs, Dir: dir, SegmentBytes: 4 << 10, Fresh: true},
				func(_ uint64, payload []byte) error { all = append(all, string(payload)); return nil })
			must(t, err)
			return l
		}
		l = reopen(unchanging{disk})
		must(t, l.Append(record("later"), true, false))
		must(t, l.Close())
		after := disk.CrashClone(vfs.CrashCloneCfg{})
		if reopen(after).Abandon(); fmt.Sprint(all) != "[promise later]" {
			t.Errorf("with %d bytes torn: %q", torn, all)
		}
	}
}

// What a segment had beforehand for more records is given back at the next start.
func TestARestartTakesNoRoom(t *testing.T) {
	t.Parallel()
	disk := newDisk(t)
	for range 10 {
		l, _, err := open(disk, true)
		must(t, err)
		must(t, l.Append(record("x"), true, false))
		must(t, l.Close())
	}
	l, all, err := open(disk, true)
	must(t, err)
	if bytes, segments := l.Bytes(); len(all) != 10 || bytes > int64(segments)*100 {
		t.Errorf("%d records in %d segments take %d bytes", len(all), segments, bytes)
	}
	must(t, l.Close())
}

// The file of a segment that a large record made longer is not used again.
func TestLongSegmentsAreNotUsedAgain(t *testing.T) {
	t.Parallel()
	disk := newDisk(t)
	l, _, err := open(disk, true)
	must(t, err)
	for range 6 {
		must(t, l.Append(record(string(bytes.Repeat([]byte("x"), 64<<10))), true, true))
	}
	for {
		if _, ok := l.Oldest(); !ok {
			break
		}
		must(t, l.RemoveOldest())
	}
	l.making.Wait()
	names, err := disk.List(dir)
	must(t, err)
	for _, name := range names {
		info, err := disk.Stat(dir + "/" + name)
		must(t, err)
		if info.Size() > 70<<10 || name[len(name)-len(spareSuffix):] == spareSuffix && info.Size() != 4<<10 {
			t.Errorf("%s has %d bytes", name, info.Size())
		}
	}
	must(t, l.Close())
}

// A segment is only written to when its preamble is on disk.
func TestADamagedPreambleBeforeRecordsIsDamage(t *testing.T) {
	t.Parallel()
	for bit := range preambleLen * 8 {
		disk := newDisk(t)
		l, _, err := open(disk, false)
		must(t, err)
		must(t, l.Append(record("promise"), true, false))
		name := "0000000000000001.log"
		b := content(t, disk, name)
		l.Abandon()
		b[bit/8] ^= 1 << (bit % 8)
		replace(t, disk, name, b)
		l, got, err := open(disk, false)
		switch {
		case err == nil && len(got) == 1: // nobody reads that bit
			l.Abandon()
		case err == nil:
			t.Fatalf("bit %d of the preamble: %q", bit, got)
		case !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrFormat):
			t.Fatalf("bit %d of the preamble: %v", bit, err)
		}
	}
}
