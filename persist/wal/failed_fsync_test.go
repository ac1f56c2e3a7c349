package wal

import (
	"errors"
	"maps"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var errDisk = errors.New("input/output error")

// forgetful is a disk below a kernel that, when an fsync fails, takes what it could not write for written:
// it shows it, and the next fsync neither writes it nor fails.
type forgetful struct {
	*vfs.MemFS
	failing bool
	pages   map[string]map[int64]state // by name and offset; what is not in it is on the disk
}

type state string

const (
	dirty state = "dirty" // the next fsync writes it
	lost  state = "lost"  // in memory only, for ever
)

func (d *forgetful) file(name string, f vfs.File, err error) (vfs.File, error) {
	if d.pages[name] == nil {
		d.pages[name] = map[int64]state{}
	}
	return &forgetfulFile{File: f, disk: d, name: name}, err
}

func (d *forgetful) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	delete(d.pages, name)
	f, err := d.MemFS.Create(name, category)
	return d.file(name, f, err)
}

func (d *forgetful) OpenReadWrite(name string, category vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.MemFS.OpenReadWrite(name, category, o...)
	return d.file(name, f, err)
}

// losePower returns what is on the disk.
func (d *forgetful) losePower(t *testing.T) *vfs.MemFS {
	t.Helper()
	left := d.CrashClone(vfs.CrashCloneCfg{})
	for name, pages := range d.pages {
		for at, s := range pages {
			if s != lost {
				continue
			}
			f, err := left.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
			must(t, err)
			_, err = f.WriteAt([]byte{0}, at)
			must(t, errors.Join(err, f.Close()))
		}
	}
	return left
}

type forgetfulFile struct {
	vfs.File
	disk *forgetful
	name string
	end  int64 // where Write goes on
}

func (f *forgetfulFile) wrote(at int64, n int) {
	for i := range int64(n) {
		f.disk.pages[f.name][at+i] = dirty
	}
}

func (f *forgetfulFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	f.wrote(f.end, n)
	f.end += int64(n)
	return n, err
}

func (f *forgetfulFile) WriteAt(b []byte, at int64) (int, error) {
	n, err := f.File.WriteAt(b, at)
	f.wrote(at, n)
	return n, err
}

func (f *forgetfulFile) SyncData() error { return f.Sync() }

func (f *forgetfulFile) Sync() error {
	pages := f.disk.pages[f.name]
	if !f.disk.failing {
		maps.DeleteFunc(pages, func(_ int64, s state) bool { return s == dirty })
		return f.File.Sync()
	}
	for at := range pages {
		pages[at] = lost
	}
	return errors.Join(errDisk, f.File.Sync()) // the names and the length may be on the disk
}

// What a failed fsync left is read back by the next Open, though it is not on the disk. It is written once
// more before anything rests on it, so that a power loss takes none of what that Open promised.
func TestWhatAFailedFsyncLeftIsWrittenAgain(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"a record", "a seal", "a record, at the next start as well"} {
		disk := &forgetful{MemFS: newDisk(t), pages: map[string]map[int64]state{}}
		l, _, err := open(disk, false)
		must(t, err)
		appendTo(t, l, 1, 3, true)
		last := 3
		disk.failing = true
		if at == "a seal" {
			err = l.Close()
		} else {
			last = 4
			err = l.Append(record(payload(4)), true, false)
		}
		if !errors.Is(err, errDisk) {
			t.Fatalf("%s: %v", at, err)
		}
		l.Abandon()
		if at == "a record, at the next start as well" {
			if _, _, err := open(disk, false); !errors.Is(err, errDisk) {
				t.Fatalf("%s: %v", at, err)
			}
		}
		disk.failing = false
		next, got, err := open(disk, false)
		must(t, err)
		want(t, got, 1, last)
		appendTo(t, next, last+1, last+1, true)
		_, got, err = open(disk.losePower(t), false)
		if err != nil {
			t.Fatalf("%s: after a power loss: %v", at, err)
		}
		want(t, got, 1, last+1)
	}
}
