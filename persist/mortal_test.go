package persist

import (
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// mortal is a disk as one process sees it. What the process does reaches the disk until it is killed,
// at one of its operations, by half. What its goroutines still do after that happens in a world of
// its own. The disk keeps what was written and not synced: the next process finds it, and a power
// loss may yet take it.
type mortal struct {
	vfs.FS // the process's own
	t      *testing.T
	disk   *vfs.MemFS
	died   func()

	mu   sync.Mutex // one operation at a time, so that both see the same order
	left int        // operations until it is killed; 0: it is not to be
	dead bool
}

// newMortal begins the life of a process. died is called at its end, if it is killed.
func newMortal(t *testing.T, disk *vfs.MemFS, died func()) *mortal {
	t.Helper()
	own := vfs.NewMem()
	if _, err := vfs.Clone(disk, own, "/", "/"); err != nil {
		t.Fatal(err)
	}
	return &mortal{FS: own, t: t, disk: disk, died: died}
}

// killIn kills the process after so many operations more; 0: not at all.
func (m *mortal) killIn(operations int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left = operations
}

func (m *mortal) isDead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

// reaches reports whether an operation reaches the disk. Of the one that is the last, half does.
// m.mu is held.
func (m *mortal) reaches(half func()) bool {
	if m.dead || m.left == 0 {
		return !m.dead
	}
	if m.left--; m.left > 0 {
		return true
	}
	half()
	m.dead = true
	m.died()
	return false
}

func (m *mortal) same(what string, own, disk error) error {
	if (own == nil) != (disk == nil) {
		m.t.Errorf("%s: the process is told %v, and the disk says %v", what, own, disk)
	}
	return own
}

// change does to the disk what it does to the process's own.
func (m *mortal) change(what string, do func(vfs.FS) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	reaches := m.reaches(func() {})
	err := do(m.FS)
	if reaches {
		return m.same(what, err, do(m.disk))
	}
	return err
}

// open opens a file on both.
func (m *mortal) open(name string, changes bool, do func(vfs.FS) (vfs.File, error)) (vfs.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	reaches := !m.dead
	if changes {
		reaches = m.reaches(func() {})
	}
	own, err := do(m.FS)
	f := &mortalFile{File: own, m: m, name: name}
	if reaches {
		twin, onDisk := do(m.disk)
		f.twin, err = twin, m.same("open of "+name, err, onDisk)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (m *mortal) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return m.open(name, true, func(fs vfs.FS) (vfs.File, error) { return fs.Create(name, c) })
}

func (m *mortal) ReuseForWrite(from, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return m.open(name, true, func(fs vfs.FS) (vfs.File, error) { return fs.ReuseForWrite(from, name, c) })
}

func (m *mortal) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	return m.open(name, false, func(fs vfs.FS) (vfs.File, error) { return fs.Open(name, opts...) })
}

func (m *mortal) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return m.open(name, false, func(fs vfs.FS) (vfs.File, error) { return fs.OpenReadWrite(name, c, opts...) })
}

func (m *mortal) OpenDir(name string) (vfs.File, error) {
	return m.open(name, false, func(fs vfs.FS) (vfs.File, error) { return fs.OpenDir(name) })
}

func (m *mortal) Link(from, name string) error {
	return m.change("link of "+name, func(fs vfs.FS) error { return fs.Link(from, name) })
}

func (m *mortal) Rename(from, name string) error {
	return m.change("rename to "+name, func(fs vfs.FS) error { return fs.Rename(from, name) })
}

func (m *mortal) Remove(name string) error {
	return m.change("removal of "+name, func(fs vfs.FS) error { return fs.Remove(name) })
}

func (m *mortal) RemoveAll(name string) error {
	return m.change("removal of "+name, func(fs vfs.FS) error { return fs.RemoveAll(name) })
}

func (m *mortal) MkdirAll(name string, perm os.FileMode) error {
	return m.change("making of "+name, func(fs vfs.FS) error { return fs.MkdirAll(name, perm) })
}

// mortalFile is an open file of a process, and its twin on the disk, if it was opened there.
type mortalFile struct {
	vfs.File
	m    *mortal
	name string
	twin vfs.File
}

// change does to the twin what it does to the process's own; half is what is done of it when the
// process is killed there.
func (f *mortalFile) change(half func(), do func(vfs.File) error) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	reaches := f.twin != nil && f.m.reaches(half)
	err := do(f.File)
	if reaches {
		return f.m.same("change of "+f.name, err, do(f.twin))
	}
	return err
}

// Write gives each a copy: a vfs.File may change what it is given.
func (f *mortalFile) Write(b []byte) (n int, err error) {
	err = f.change(func() { _, _ = f.twin.Write(slices.Clone(b[:len(b)/2])) }, func(file vfs.File) error {
		n, err = file.Write(slices.Clone(b))
		return err
	})
	return n, err
}

func (f *mortalFile) WriteAt(b []byte, at int64) (n int, err error) {
	err = f.change(func() { _, _ = f.twin.WriteAt(slices.Clone(b[:len(b)/2]), at) }, func(file vfs.File) error {
		n, err = file.WriteAt(slices.Clone(b), at)
		return err
	})
	return n, err
}

func (f *mortalFile) Preallocate(offset, length int64) error {
	return f.change(func() {}, func(file vfs.File) error { return file.Preallocate(offset, length) })
}

func (f *mortalFile) Sync() error { return f.change(func() {}, vfs.File.Sync) }

func (f *mortalFile) SyncData() error { return f.change(func() {}, vfs.File.SyncData) }

func (f *mortalFile) SyncTo(length int64) (full bool, err error) {
	err = f.change(func() {}, func(file vfs.File) error {
		full, err = file.SyncTo(length)
		return err
	})
	return full, err
}

func (f *mortalFile) Close() error {
	if f.twin != nil {
		_ = f.twin.Close()
	}
	return f.File.Close()
}
