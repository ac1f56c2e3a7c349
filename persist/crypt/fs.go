package crypt

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/codec"
)

// Errors of Open. None of them has changed anything.
var (
	// ErrNoKey: the directory is encrypted, and no key is given.
	ErrNoKey = errors.New("the data directory is encrypted, and no key is given")
	// ErrWrongKey: none of the keys given is the one that wraps the directory's data keys.
	ErrWrongKey = errors.New("the key does not fit the data directory")
	// ErrPlain: a key is given, and the directory is not encrypted.
	ErrPlain = errors.New("the data directory is not encrypted, and a key is given")
	// ErrNoRing: files are encrypted, and their data keys are gone.
	ErrNoRing = errors.New("the data directory is encrypted, and its " + RingFile + " is missing")
)

// ErrFatal, of Rewrite and Rotate, says that it is not known what the disk holds: the node must end.
var ErrFatal = errors.New("the disk cannot be trusted")

// Options of Open. FS, Dir and Names are required.
type Options struct {
	FS  vfs.FS
	Dir string // of the node
	// Names are what belongs to the node in Dir: files, and directories with all that is in them. What is
	// there besides is left alone.
	Names []string
	Keys  []Key // the first wraps, all unwrap
	// Transform makes the content of a file of that name in Dir fit the file that takes its place: of one
	// that says which file it is.
	Transform map[string]func(content []byte, place vfs.File) ([]byte, error)
	// Pace is how many bytes a second are rewritten in the background; 0: as fast as it goes.
	Pace int64
	// Random is where data keys and counters come from; nil is the system. Now stamps data keys; nil is the clock.
	Random io.Reader
	Now    func() time.Time
}

// lockName is of the file that a running process locks, which is empty.
const lockName = "LOCK"

// FS encrypts the files of a node. Besides vfs.FS.Lock and directories, all goes through it.
type FS struct {
	vfs.FS // the disk
	o      Options
	random io.Reader

	ring      atomic.Pointer[ring]
	rotations atomic.Uint64
	rewritten atomic.Int64 // bytes

	// names is held for reading by who changes a name, or gives a file a header; for writing by who must see
	// all of them.
	names sync.RWMutex

	mu     sync.Mutex // of what follows, and of the paths in open
	open   map[*file]struct{}
	moving relocation
}

// relocation is a file that is being rewritten.
type relocation struct {
	path    string
	spoiled bool // its name has become another's meanwhile
}

// Open looks at a directory, and changes nothing. It returns nil when there are neither keys nor data keys: then
// nothing is encrypted.
func Open(o Options) (*FS, error) {
	text, err := readRing(o.FS, o.Dir)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read data keys: %w", err)
	case text == nil && len(o.Keys) == 0:
		return nil, nil //nolint:nilnil // documented
	case len(o.Keys) == 0:
		return nil, ErrNoKey
	}
	s := &FS{FS: o.FS, o: o, random: &lockedReader{r: o.Random}, open: map[*file]struct{}{}}
	if o.Random == nil {
		s.random = rand.Reader
	}
	if s.o.Now == nil {
		s.o.Now = time.Now
	}
	if text == nil {
		return s, s.refusePlain()
	}
	r, err := unseal(text, o.Keys)
	s.ring.Store(r)
	return s, err
}

// refusePlain is an error when there are files that are not encrypted, or whose data keys are gone.
func (s *FS) refusePlain() error {
	found, err := s.files()
	for _, path := range found {
		id, _, e := s.look(path)
		if err = errors.Join(err, e); id != 0 {
			return fmt.Errorf("%w: %s is encrypted by data key %d", ErrNoRing, path, id)
		}
	}
	if err == nil && len(found) > 0 {
		return fmt.Errorf("%w: it has %s", ErrPlain, found[0])
	}
	return err
}

// Begin makes the data key of a fresh directory, which the caller has locked. Who had the lock before may have
// changed what Open has read, so it is read again.
func (s *FS) Begin() error {
	text, err := readRing(s.FS, s.o.Dir)
	if err != nil {
		return err
	}
	if text != nil {
		r, err := unseal(text, s.o.Keys)
		s.ring.Store(r)
		return errors.Join(err, s.FS.RemoveAll(s.path(rewriteDir)))
	}
	if err := s.refusePlain(); err != nil {
		return err
	}
	first, err := newDataKey(1, s.o.Now(), s.random)
	if err != nil {
		return err
	}
	r := &ring{keys: []*dataKey{first}}
	if err := s.save(r, s.o.Keys[0]); err != nil {
		return err
	}
	s.ring.Store(r)
	return nil
}

func (s *FS) path(names ...string) string {
	return s.FS.PathJoin(append([]string{s.o.Dir}, names...)...)
}

// files lists all files of the node, by their paths, in order.
func (s *FS) files() (found []string, err error) {
	for _, name := range s.o.Names {
		if found, err = s.below(s.path(name), found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (s *FS) below(path string, found []string) ([]string, error) {
	info, err := s.FS.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return found, nil // removed meanwhile
	case err != nil:
		return nil, err
	case !info.IsDir():
		if s.FS.PathBase(path) == lockName {
			return found, nil
		}
		return append(found, path), nil
	}
	names, err := s.FS.List(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		if found, err = s.below(s.FS.PathJoin(path, name), found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// streamOf reads how an open file is encrypted.
func (s *FS) streamOf(raw io.ReaderAt, path string) (stream, error) {
	id, first, ok, err := readHeader(raw)
	if err != nil || !ok {
		if err != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
		return stream{}, err
	}
	r := s.ring.Load()
	if r == nil {
		return stream{}, fmt.Errorf("%s: %w: it is encrypted by data key %d, and there are no data keys",
			path, codec.ErrCorrupt, id)
	}
	k := r.find(id)
	if k == nil {
		return stream{}, fmt.Errorf("%s: %w: it is encrypted by data key %d, which %s does not have",
			path, codec.ErrCorrupt, id, RingFile)
	}
	return stream{k, first}, nil
}

// newStream is for a new header. The caller holds names.
func (s *FS) newStream() (st stream, err error) {
	r := s.ring.Load()
	if r == nil {
		return st, errors.New("there are no data keys yet")
	}
	st.key = r.current()
	_, err = io.ReadFull(s.random, st.first[:])
	return st, err
}

// change does something to names: to is taken by another file, or gone; what was at from, unless that is "", is at
// to.
func (s *FS) change(from, to string, do func() error) error {
	s.names.RLock()
	defer s.names.RUnlock()
	err := do()
	if err == nil {
		s.moved(from, to)
	}
	return err
}

func (s *FS) moved(from, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.moving.path; at != "" && (at == from || at == to) {
		s.moving.spoiled = true
	}
	for f := range s.open {
		switch {
		case f.path == to:
			f.path = ""
		case f.path == from && from != "":
			f.path = to
		}
	}
}

// Create implements vfs.FS.
func (s *FS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	s.names.RLock()
	defer s.names.RUnlock()
	raw, err := s.FS.Create(name, category)
	if err != nil {
		return nil, err
	}
	s.moved("", clean(name))
	return s.add(&file{fs: s, raw: raw, name: clean(name), appends: true}), nil
}

// ReuseForWrite implements vfs.FS: the file gets another header, so that nothing of what is written to it is
// encrypted as what was written before. The header is whole and durable before the file takes its name. A crash in
// between tears it under the old name, which the caller has given up; under the new one it is never torn, and one that
// is not whole there is damage. Nor can the old header come back there, whose data key may be forgotten by then.
func (s *FS) ReuseForWrite(was, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	s.names.RLock()
	defer s.names.RUnlock()
	st, err := s.newStream()
	if ivReused {
		st = s.formerStream(was, st)
	}
	if err == nil && !headedUnderItsName {
		err = s.head(was, st, category)
	}
	if err == nil {
		err = s.FS.Rename(was, name)
	}
	if err != nil {
		return nil, err
	}
	s.moved(clean(was), clean(name))
	if headedUnderItsName {
		if err := s.head(name, st, category); err != nil {
			return nil, err
		}
	}
	raw, err := s.FS.OpenReadWrite(name, category)
	if err != nil {
		return nil, err
	}
	return s.add(&file{fs: s, raw: raw, name: clean(name), stream: st, appends: true, moved: true}), nil
}

// formerStream is how a file is encrypted, or other where that cannot be told.
func (s *FS) formerStream(path string, other stream) stream {
	raw, err := s.FS.Open(path)
	if err != nil {
		return other
	}
	st, err := s.streamOf(raw, path)
	if err = errors.Join(err, raw.Close()); err != nil || st.key == nil {
		return other
	}
	return st
}

// head gives a file another header, for good.
func (s *FS) head(path string, st stream, category vfs.DiskWriteCategory) error {
	raw, err := s.FS.OpenReadWrite(path, category)
	if err != nil {
		return err
	}
	if _, err = raw.WriteAt(st.header(), 0); err == nil {
		err = raw.Sync()
	}
	return errors.Join(err, raw.Close())
}

// Open implements vfs.FS.
func (s *FS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	s.names.RLock()
	defer s.names.RUnlock()
	raw, err := s.FS.Open(name, opts...)
	return s.opened(raw, err, &file{name: clean(name)})
}

// OpenReadWrite implements vfs.FS. What is written must not differ from what is there.
func (s *FS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	s.names.RLock()
	defer s.names.RUnlock()
	s.spoil(clean(name))
	raw, err := s.FS.OpenReadWrite(name, category, opts...)
	return s.opened(raw, err, &file{name: clean(name), overwrites: true})
}

func (s *FS) opened(raw vfs.File, err error, f *file) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	f.fs, f.raw = s, raw
	if f.stream, err = s.streamOf(raw, f.name); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return s.add(f), nil
}

func (s *FS) add(f *file) *file {
	f.headed.Store(f.stream.key != nil)
	f.path = f.name
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[f] = struct{}{}
	return f
}

func (s *FS) spoil(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.moving.path != "" && (s.moving.path == path || strings.HasPrefix(s.moving.path, path+"/")) {
		s.moving.spoiled = true
	}
}

// Link implements vfs.FS.
func (s *FS) Link(from, to string) error {
	return s.change("", clean(to), func() error { return s.FS.Link(from, to) })
}

// Rename implements vfs.FS.
func (s *FS) Rename(from, to string) error {
	return s.change(clean(from), clean(to), func() error { return s.FS.Rename(from, to) })
}

// Remove implements vfs.FS.
func (s *FS) Remove(name string) error {
	return s.change("", clean(name), func() error { return s.FS.Remove(name) })
}

// RemoveAll implements vfs.FS.
func (s *FS) RemoveAll(name string) error {
	return s.change("", clean(name), func() error {
		s.spoil(clean(name))
		return s.FS.RemoveAll(name)
	})
}

// MkdirAll implements vfs.FS.
func (s *FS) MkdirAll(dir string, perm os.FileMode) error { return s.FS.MkdirAll(dir, perm) }

// Stat implements vfs.FS.
func (s *FS) Stat(name string) (vfs.FileInfo, error) {
	info, err := s.FS.Stat(name)
	if err != nil || info.IsDir() {
		return info, err
	}
	return fileInfo{info, false}, nil
}

// Unwrap implements vfs.FS.
func (s *FS) Unwrap() vfs.FS { return s.FS }

// clean is one spelling for each path.
func clean(name string) string { return path.Clean(name) }

// lockedReader may be read by many.
type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

// Read implements io.Reader.
func (l *lockedReader) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(b)
}
