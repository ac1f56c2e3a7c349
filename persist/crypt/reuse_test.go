package crypt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/codec"
	"pxkv/persist/disk"
)

var errKilled = errors.New("the process was killed")

// tearing is a disk on which a process does only so much until it is killed: a byte that is written counts for one,
// and so does whatever else changes something.
type tearing struct {
	vfs.FS
	left int
}

// take takes up to n of what is left, and reports how much that is.
func (d *tearing) take(n int) (int, error) {
	if n > d.left {
		n, d.left = d.left, 0
		return n, errKilled
	}
	d.left -= n
	return n, nil
}

func (d *tearing) change(do func() error) error {
	if _, err := d.take(1); err != nil {
		return err
	}
	return do()
}

// Rename implements vfs.FS.
func (d *tearing) Rename(from, to string) error {
	return d.change(func() error { return d.FS.Rename(from, to) })
}

// ReuseForWrite implements vfs.FS.
func (d *tearing) ReuseForWrite(was, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if _, err := d.take(1); err != nil {
		return nil, err
	}
	f, err := d.FS.ReuseForWrite(was, name, c)
	return &tearingFile{f, d}, err
}

// OpenReadWrite implements vfs.FS.
func (d *tearing) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.OpenReadWrite(name, c, o...)
	return &tearingFile{f, d}, err
}

// OpenDir implements vfs.FS.
func (d *tearing) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	return &tearingFile{f, d}, err
}

type tearingFile struct {
	vfs.File
	d *tearing
}

// Write implements vfs.File.
func (f *tearingFile) Write(b []byte) (int, error) {
	n, killed := f.d.take(len(b))
	done, err := f.File.Write(b[:n])
	return done, errors.Join(err, killed)
}

// WriteAt implements vfs.File.
func (f *tearingFile) WriteAt(b []byte, at int64) (int, error) {
	n, killed := f.d.take(len(b))
	done, err := f.File.WriteAt(b[:n], at)
	return done, errors.Join(err, killed)
}

// Sync implements vfs.File.
func (f *tearingFile) Sync() error { return f.d.change(f.File.Sync) }

// segmentOver makes a segment of the log from a spare file, as package wal does.
func segmentOver(f vfs.FS, spare, name string, preamble []byte) error {
	file, err := f.ReuseForWrite(spare, name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = file.Write(bytes.Clone(preamble))
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = disk.SyncDir(f, f.PathDir(name))
	}
	return errors.Join(err, file.Close())
}

// A process may be killed at every byte of what it writes to use a file again, and the power may go then: what has
// the new name can be opened, and read once its data key is rotated away. It was written, or has noise in it, as
// a file has that is used again. With spares of all kinds: zeros, an old segment of this data key or of the last
// one, one that another crash has torn.
func TestAFileThatIsUsedAgainMayBeTornAnywhere(t *testing.T) {
	t.Parallel()
	preamble := []byte("preamble of the segment.")
	for _, spare := range []string{"zeros", "segment", "old key", "torn", "empty"} {
		t.Run(spare, func(t *testing.T) {
			t.Parallel()
			for steps := 0; ; steps++ {
				key := NewKey()
				mem := vfs.NewCrashableMem()
				killed := killedAt(t, mem, key, spare, preamble, steps)
				for percent, after := range map[int]*vfs.MemFS{
					-1: mem, 0: mem.CrashClone(vfs.CrashCloneCfg{}),
				} {
					where := fmt.Sprintf("%d steps, percent %d", steps, percent)
					checkReused(t, after, key, where, preamble, !killed)
				}
				if !killed {
					if steps < HeaderBytes+len(preamble) {
						t.Errorf("it was done after %d steps", steps)
					}
					return
				}
			}
		})
	}
}

// Where it was not torn but is damaged, a file that was used again is that, and no empty one.
func TestADamagedHeaderOfAFileThatIsUsedAgainIsDamage(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	s := newFS(t, disk, NewKey())
	create(t, s, dir+"/files/1.spare", make([]byte, 1000))
	name := dir + "/files/2.log"
	must(t, segmentOver(s, dir+"/files/1.spare", name, []byte("promise")))
	raw := read(t, disk, name)
	for at := range HeaderBytes {
		b := bytes.Clone(raw)
		b[at] ^= 0x10
		create(t, disk, name, b)
		if _, err := s.Open(name); !errors.Is(err, codec.ErrCorrupt) && !errors.Is(err, codec.ErrFormat) {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
}

// killedAt does it on a fresh disk, and reports whether the process was killed.
func killedAt(t *testing.T, mem *vfs.MemFS, key Key, spare string, preamble []byte, steps int) bool {
	d := &tearing{FS: mem, left: 1 << 30}
	s := newFS(t, d, key)
	content := bytes.Repeat([]byte("promise "), 40)
	switch spare {
	case "zeros":
		clear(content)
	case "empty":
		content = nil
	}
	create(t, s, dir+"/files/kept", []byte("kept"))
	create(t, s, dir+"/files/1.spare", content)
	switch spare {
	case "torn":
		tornHeader(t, mem, dir+"/files/1.spare")
	case "old key":
		must(t, s.Rotate([]Key{key}))
	}
	for _, dir := range []string{dir + "/files", dir, ""} {
		must(t, disk.SyncDir(mem, "/"+dir))
	}
	d.left = steps
	err := segmentOver(s, dir+"/files/1.spare", dir+"/files/2.log", preamble)
	if err != nil && !errors.Is(err, errKilled) {
		t.Fatalf("%d steps: %v", steps, err)
	}
	return err != nil
}

func tornHeader(t *testing.T, mem *vfs.MemFS, name string) {
	raw, err := mem.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = raw.WriteAt([]byte("other"), counterAt)
	must(t, errors.Join(err, raw.Sync(), raw.Close()))
}

// checkReused starts on what is there.
func checkReused(t *testing.T, after *vfs.MemFS, key Key, where string, preamble []byte, written bool) {
	t.Helper()
	s, err := Open(Options{FS: after, Dir: dir, Names: []string{"files"}, Keys: []Key{key}})
	if err == nil {
		err = s.Begin()
	}
	must(t, err)
	names, err := after.List(dir + "/files")
	must(t, err)
	if written && !slices.Contains(names, "2.log") {
		t.Errorf("%s: the file is not there", where)
	}
	all := func() {
		t.Helper()
		for _, name := range names {
			if strings.HasSuffix(name, ".spare") {
				continue // nobody reads it
			}
			f, err := s.Open(dir + "/files/" + name)
			if err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			must(t, f.Close())
			got := read(t, s, dir+"/files/"+name)
			if name == "kept" && string(got) != "kept" ||
				name == "2.log" && written && !bytes.HasPrefix(got, preamble) {
				t.Fatalf("%s: %s is %q", where, name, got)
			}
		}
	}
	all()
	if s.Pending() {
		if done, err := s.Rewrite(context.Background()); !done || err != nil {
			t.Fatalf("%s: rewritten: %v, %v", where, done, err)
		}
		all()
	}
}
