package crypt

import (
	"errors"
	"io/fs"
	"slices"
	"time"

	"pxkv/persist/codec"
	"pxkv/persist/disk"
)

// ErrRotating, of Rotate, says that the last rotation must end first. A new key of the operator does not wait for
// that, unless there were very many.
var ErrRotating = errors.New("a rotation is under way: wait until what is old has been rewritten")

// Rotate wraps the data keys under the first of the keys, and makes a new data key for all that is written from now
// on. Rewrite then does the rest. After an error the old keys are still in force.
func (s *FS) Rotate(keys []Key) error {
	s.names.Lock()
	defer s.names.Unlock()
	if len(keys) == 0 {
		return ErrNoKey
	}
	was := s.ring.Load()
	if len(was.keys) >= mostDataKeys || len(was.keys) > 1 && was.wrappedBy == keys[0].Fingerprint() {
		return ErrRotating
	}
	next, err := newDataKey(was.current().id+1, s.o.Now(), s.random)
	if err != nil {
		return err
	}
	r := &ring{keys: append(slices.Clone(was.keys), next)}
	if err := s.save(r, keys[0]); err != nil {
		return err
	}
	s.o.Keys = keys
	s.ring.Store(r)
	s.rotations.Add(1)
	return nil
}

// Rotations is how often Rotate was done since Open.
func (s *FS) Rotations() uint64 { return s.rotations.Load() }

// Rewritten is how many bytes were rewritten since Open.
func (s *FS) Rewritten() int64 { return s.rewritten.Load() }

// Pending reports whether there are data keys that are to be forgotten.
func (s *FS) Pending() bool {
	r := s.ring.Load()
	return r != nil && len(r.keys) > 1
}

// KeyUsage is what of the directory a data key encrypts.
type KeyUsage struct {
	ID      uint32    `json:"id"`
	Made    time.Time `json:"made"`
	Current bool      `json:"current"`
	Files   int       `json:"files"`
	Bytes   int64     `json:"bytes"` // on the disk
}

// Usage is how a directory is encrypted.
type Usage struct {
	WrappedBy string     `json:"wrapped_by"` // fingerprint of the operator's key
	DataKeys  []KeyUsage `json:"data_keys"`
	Rotating  bool       `json:"rotating"` // files of old data keys are being rewritten
	Rotations uint64     `json:"rotations"`
}

// Usage looks at all files.
func (s *FS) Usage() (Usage, error) {
	r := s.ring.Load()
	u := Usage{WrappedBy: r.wrappedBy, Rotating: len(r.keys) > 1, Rotations: s.Rotations()}
	place := map[uint32]int{}
	for i, k := range r.keys {
		place[k.id] = i
		u.DataKeys = append(u.DataKeys, KeyUsage{ID: k.id, Made: k.made, Current: k == r.current()})
	}
	found, err := s.files()
	for _, path := range found {
		id, size, e := s.look(path)
		if i, ok := place[id]; ok {
			u.DataKeys[i].Files++
			u.DataKeys[i].Bytes += size
		}
		err = errors.Join(err, e)
	}
	return u, err
}

// look reads by which data key a file is encrypted: 0 when it has no header, or was removed.
func (s *FS) look(path string) (key uint32, size int64, err error) {
	raw, err := s.FS.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	key, _, ok, err := readHeader(raw)
	if !ok || errors.Is(err, codec.ErrCorrupt) {
		key = 0
	}
	if errors.Is(err, codec.ErrCorrupt) {
		err = nil // whoever reads it will say so
	}
	info, e := raw.Stat()
	if e == nil {
		size = info.Size()
	}
	return key, size, errors.Join(err, e, raw.Close())
}

// forget forgets the data keys that no file uses, and reports whether that was all but the current one. A file
// whose removal a power loss takes back must not need one of them: so all directories are made durable first.
func (s *FS) forget() (all bool, err error) {
	s.names.Lock()
	defer s.names.Unlock()
	r := s.ring.Load()
	found, err := s.files()
	if err != nil {
		return false, err
	}
	used := map[uint32]bool{r.current().id: true}
	dirs := map[string]bool{s.path(): true}
	for _, path := range found {
		id, _, err := s.look(path)
		if err != nil {
			return false, err
		}
		if rotationForgetsKey && s.writer(path) != nil {
			continue
		}
		used[id] = true
		for d := s.FS.PathDir(path); len(d) > len(s.path()) && !dirs[d]; d = s.FS.PathDir(d) {
			dirs[d] = true
		}
	}
	next := &ring{}
	for _, k := range r.keys {
		if used[k.id] {
			next.keys = append(next.keys, k)
		}
	}
	if len(next.keys) == len(r.keys) {
		return len(r.keys) == 1, nil
	}
	for _, name := range s.o.Names { // also those in which there is no file any more
		if info, err := s.FS.Stat(s.path(name)); err == nil && info.IsDir() {
			dirs[s.path(name)] = true
		}
	}
	for d := range dirs {
		if err := disk.SyncDir(s.FS, d); err != nil {
			return false, err
		}
	}
	if err := s.save(next, s.o.Keys[0]); err != nil {
		return false, err
	}
	s.ring.Store(next)
	return len(next.keys) == 1, nil
}

// Old is how much is encrypted by data keys that are to be forgotten.
func (u Usage) Old() (files int, bytes int64) {
	for _, k := range u.DataKeys {
		if !k.Current {
			files, bytes = files+k.Files, bytes+k.Bytes
		}
	}
	return files, bytes
}
