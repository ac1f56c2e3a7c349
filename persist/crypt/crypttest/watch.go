// Package crypttest sees what encrypted files look like on the disk (tests only).
package crypttest

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/crypt"
)

// Watch is a file system that lies below the encryption, and remembers under each header all that was ever written:
// that no two bytes that differ were written to the same place is what the encryption rests on. One is for all
// lives of a disk.
type Watch struct {
	mu      sync.Mutex
	streams map[string]*stream // by header
	faults  []string
	writes  int
}

// stream is what was written under one header, by offset in the file; what is not written is -1.
type stream struct{ bytes []int16 }

// Over lies over a disk in one of its lives.
func (w *Watch) Over(f vfs.FS) vfs.FS { return &watched{f, w} }

// Faults are the places where two different bytes were written, and how many writes were looked at.
func (w *Watch) Faults() (faults []string, writes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.faults, w.writes
}

// wrote notes what is written under a header.
func (w *Watch) wrote(name, header string, b []byte, at int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.streams == nil {
		w.streams = map[string]*stream{}
	}
	if w.streams[header] == nil {
		w.streams[header] = &stream{}
	}
	s := w.streams[header]
	for need := int(at) + len(b); len(s.bytes) < need; {
		s.bytes = append(s.bytes, -1)
	}
	w.writes++
	for i, c := range b {
		was := &s.bytes[int(at)+i]
		if *was >= 0 && *was != int16(c) && len(w.faults) < 100 {
			w.faults = append(w.faults, fmt.Sprintf("%s: byte %d was written twice under one header", name, int(at)+i))
			return
		}
		*was = int16(c)
	}
}

type watched struct {
	vfs.FS
	w *Watch
}

// Unwrap implements vfs.FS.
func (f *watched) Unwrap() vfs.FS { return f.FS }

// Create implements vfs.FS.
func (f *watched) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, c)
	return f.watch(name, file, err)
}

// ReuseForWrite implements vfs.FS.
func (f *watched) ReuseForWrite(was, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	header := f.headerOf(was)
	file, err := f.FS.ReuseForWrite(was, name, c)
	if file, err = f.watch(name, file, err); err == nil {
		file.(*watchedFile).header = header
	}
	return file, err
}

// OpenReadWrite implements vfs.FS.
func (f *watched) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	header := f.headerOf(name)
	file, err := f.FS.OpenReadWrite(name, c, o...)
	if file, err = f.watch(name, file, err); err == nil {
		file.(*watchedFile).header = header
	}
	return file, err
}

// headerOf is that of a file, "" when it has none.
func (f *watched) headerOf(name string) string {
	file, err := f.FS.Open(name)
	if err != nil {
		return ""
	}
	defer file.Close()
	b := make([]byte, crypt.HeaderBytes)
	if n, _ := file.ReadAt(b, 0); n < len(b) || !crypt.IsHeader(b) {
		return ""
	}
	return string(b)
}

func (f *watched) watch(name string, file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &watchedFile{File: file, w: f.w, name: name}, nil
}

type watchedFile struct {
	vfs.File
	w      *Watch
	name   string
	header string
	at     int64
}

// Write implements vfs.File.
func (f *watchedFile) Write(b []byte) (int, error) {
	f.look(b, f.at)
	f.at += int64(len(b))
	return f.File.Write(b)
}

// WriteAt implements vfs.File.
func (f *watchedFile) WriteAt(b []byte, at int64) (int, error) {
	f.look(b, at)
	return f.File.WriteAt(b, at)
}

func (f *watchedFile) look(b []byte, at int64) {
	if at == 0 {
		f.header = ""
		if crypt.IsHeader(b) {
			f.header, b, at = string(b[:crypt.HeaderBytes]), b[crypt.HeaderBytes:], crypt.HeaderBytes
		}
	}
	// Zeros beside a key stream tell nothing: they are room for what will be written first.
	if f.header == "" || len(bytes.Trim(b, "\x00")) == 0 {
		return
	}
	f.w.wrote(f.name, f.header, b, at)
}
