package overlay

import (
	"errors"
	"io"
	"io/fs"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// pageBytes is the size of the pieces that are copied when they are written to.
const pageBytes = 32 << 10

// content is a file of the machine with what was written to it, or one that is only here.
type content struct {
	under  io.ReaderAt // nil: only here
	length int64       // of what is under

	mu    sync.RWMutex
	size  int64
	pages map[int64]*[pageBytes]byte // by number; the others are as under, or zeros
}

func (c *content) bytes() int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.size
}

func (c *content) readAt(p []byte, at int64) (n int, err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for n < len(p) {
		if at >= c.size {
			return n, io.EOF
		}
		page, within := at/pageBytes, at%pageBytes
		piece := p[n : n+int(min(pageBytes-within, int64(len(p)-n), c.size-at))]
		if written := c.pages[page]; written != nil {
			copy(piece, written[within:])
		} else if err := c.readUnder(piece, at); err != nil {
			return n, err
		}
		n += len(piece)
		at += int64(len(piece))
	}
	return n, nil
}

// readUnder reads what the machine has, and zeros behind it.
func (c *content) readUnder(p []byte, at int64) error {
	there := p[:max(0, min(int64(len(p)), c.length-at))]
	clear(p[len(there):])
	if len(there) == 0 {
		return nil
	}
	_, err := c.under.ReadAt(there, at)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // it was longer
	}
	return err
}

func (c *content) writeAt(p []byte, at int64) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n < len(p) {
		number, within := at/pageBytes, at%pageBytes
		page := c.pages[number]
		if page == nil {
			page = new([pageBytes]byte)
			if err := c.readUnder(page[:], number*pageBytes); err != nil {
				return n, err
			}
			if c.pages == nil {
				c.pages = map[int64]*[pageBytes]byte{}
			}
			c.pages[number] = page
		}
		done := copy(page[within:], p[n:])
		n += done
		at += int64(done)
		c.size = max(c.size, at)
	}
	return n, nil
}

// file is a file or directory that is open.
type file struct {
	*content
	name   string
	at     int64 // where Read and Write go on
	writes bool
	dir    bool
}

var _ vfs.File = (*file)(nil)

// Read implements vfs.File.
func (f *file) Read(p []byte) (int, error) {
	n, err := f.readAt(p, f.at)
	f.at += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// ReadAt implements vfs.File.
func (f *file) ReadAt(p []byte, at int64) (int, error) { return f.readAt(p, at) }

// Write implements vfs.File.
func (f *file) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.at)
	f.at += int64(n)
	return n, err
}

// WriteAt implements vfs.File.
func (f *file) WriteAt(p []byte, at int64) (int, error) {
	if !f.writes {
		return 0, &fs.PathError{Op: "write", Path: f.name, Err: fs.ErrPermission}
	}
	return f.writeAt(p, at)
}

// Close implements vfs.File.
func (f *file) Close() error { return nil }

// Preallocate implements vfs.File.
func (f *file) Preallocate(int64, int64) error { return nil }

// Stat implements vfs.File.
func (f *file) Stat() (vfs.FileInfo, error) {
	return info{name: f.name, size: f.bytes(), dir: f.dir}, nil
}

// Sync implements vfs.File: there is nothing that a crash should leave.
func (f *file) Sync() error { return nil }

// SyncTo implements vfs.File.
func (f *file) SyncTo(int64) (bool, error) { return false, nil }

// SyncData implements vfs.File.
func (f *file) SyncData() error { return nil }

// Prefetch implements vfs.File.
func (f *file) Prefetch(int64, int64) error { return nil }

// Fd implements vfs.File.
func (f *file) Fd() uintptr { return vfs.InvalidFd }

// info describes what is only here.
type info struct {
	name string
	size int64
	dir  bool
}

// Name implements fs.FileInfo.
func (i info) Name() string { return i.name }

// Size implements fs.FileInfo.
func (i info) Size() int64 { return i.size }

// Mode implements fs.FileInfo.
func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o755
	}
	return 0o644
}

// ModTime implements fs.FileInfo.
func (i info) ModTime() time.Time { return time.Time{} }

// IsDir implements fs.FileInfo.
func (i info) IsDir() bool { return i.dir }

// Sys implements fs.FileInfo.
func (i info) Sys() any { return nil }

// DeviceID implements vfs.FileInfo.
func (i info) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }
