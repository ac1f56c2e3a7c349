package crypt

import (
	"crypto/cipher"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/codec"
)

// file is an open one. Its header is written with the first bytes: a file that was made and not written to is empty.
// One that is used again has its header from the beginning.
type file struct {
	fs   *FS
	name string // by which it was opened
	path string // where it is now, "" when its name is another's or nobody's; under fs.mu

	appends    bool // it was made by Create or ReuseForWrite
	overwrites bool // it was opened by OpenReadWrite

	headed atomic.Bool // stream is known
	// mu is held for writing by who writes, and by who puts another file in its place.
	mu      sync.RWMutex
	raw     vfs.File
	stream  stream
	moved   bool          // raw is another file than was made, or is used again; it is written to by offset
	at      int64         // of the next Read or Write
	running cipher.Stream // from at on
	broken  error         // it may not be written to any more
	closed  bool
}

// Write implements vfs.File: it encrypts b in place, which that allows.
func (f *file) Write(b []byte) (int, error) {
	if !f.headed.Load() {
		f.fs.names.RLock()
		defer f.fs.names.RUnlock()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return 0, f.broken
	}
	if !f.headed.Load() {
		return f.begin(b)
	}
	if f.running == nil {
		f.running = f.stream.from(f.at)
	}
	f.running.XORKeyStream(b, b)
	var n int
	var err error
	if f.moved || f.overwrites {
		n, err = f.raw.WriteAt(b, f.at+HeaderBytes)
	} else {
		n, err = f.raw.Write(b)
	}
	f.wrote(n, err)
	return n, err
}

// begin writes the header and the first bytes.
func (f *file) begin(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	if f.stream, err = f.fs.newStream(); err != nil {
		return 0, err
	}
	f.headed.Store(true)
	f.running = f.stream.from(f.at)
	f.running.XORKeyStream(b, b)
	first := append(f.stream.header(), b...)
	if f.overwrites {
		n, err = f.raw.WriteAt(first, 0)
	} else {
		n, err = f.raw.Write(first)
	}
	n -= min(n, HeaderBytes)
	f.wrote(n, err)
	return n, err
}

func (f *file) wrote(n int, err error) {
	f.at += int64(n)
	if err != nil {
		f.broken, f.running = err, nil
	}
}

// WriteAt implements vfs.File. It leaves b as it is.
func (f *file) WriteAt(b []byte, at int64) (int, error) {
	if !f.headed.Load() {
		f.fs.names.RLock()
		defer f.fs.names.RUnlock()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return 0, f.broken
	}
	if !f.headed.Load() {
		var err error
		if f.stream, err = f.fs.newStream(); err != nil {
			return 0, err
		}
		f.headed.Store(true)
		if _, err := f.raw.WriteAt(f.stream.header(), 0); err != nil {
			f.broken = err
			return 0, err
		}
	}
	encrypted := make([]byte, len(b))
	f.stream.from(at).XORKeyStream(encrypted, b)
	return f.raw.WriteAt(encrypted, at+HeaderBytes)
}

// Read implements vfs.File.
func (f *file) Read(b []byte) (int, error) {
	n, err := f.ReadAt(b, f.at)
	f.at += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// ReadAt implements vfs.File.
func (f *file) ReadAt(b []byte, at int64) (int, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	s := f.stream
	if !f.headed.Load() { // somebody may have written to it since it was opened
		var err error
		if s, err = f.fs.streamOf(f.raw, f.name); err != nil {
			return 0, err
		}
		if s.key == nil {
			return 0, io.EOF
		}
	}
	n, err := f.raw.ReadAt(b, at+HeaderBytes)
	if n > 0 {
		s.from(at).XORKeyStream(b[:n], b[:n])
	}
	return n, err
}

// Close implements vfs.File.
func (f *file) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.fs.mu.Lock()
	delete(f.fs.open, f)
	f.fs.mu.Unlock()
	return f.raw.Close()
}

// Stat implements vfs.File.
func (f *file) Stat() (vfs.FileInfo, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	info, err := f.raw.Stat()
	if err != nil {
		return nil, err
	}
	empty := false
	if !f.headed.Load() {
		s, err := f.fs.streamOf(f.raw, f.name)
		if err != nil && !errors.Is(err, codec.ErrCorrupt) {
			return nil, err
		}
		empty = s.key == nil
	}
	return fileInfo{info, empty}, nil
}

// Preallocate implements vfs.File.
func (f *file) Preallocate(offset, length int64) error {
	return f.do(func(raw vfs.File) error { return raw.Preallocate(offset+HeaderBytes, length) })
}

// Sync implements vfs.File.
func (f *file) Sync() error { return f.do(vfs.File.Sync) }

// SyncData implements vfs.File.
func (f *file) SyncData() error { return f.do(vfs.File.SyncData) }

// SyncTo implements vfs.File.
func (f *file) SyncTo(length int64) (full bool, err error) {
	err = f.do(func(raw vfs.File) (err error) {
		full, err = raw.SyncTo(length + HeaderBytes)
		return err
	})
	return full, err
}

// Prefetch implements vfs.File.
func (f *file) Prefetch(offset, length int64) error {
	return f.do(func(raw vfs.File) error { return raw.Prefetch(offset+HeaderBytes, length) })
}

// Fd implements vfs.File: it tells which file it is, and must not be read from.
func (f *file) Fd() uintptr {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.raw.Fd()
}

func (f *file) do(what func(vfs.File) error) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.broken != nil {
		return f.broken
	}
	return what(f.raw)
}
