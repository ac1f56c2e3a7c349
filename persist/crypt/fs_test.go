package crypt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/codec"
)

const dir = "node"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newFS is an encrypted directory in memory.
func newFS(t testing.TB, disk vfs.FS, keys ...Key) *FS {
	t.Helper()
	must(t, disk.MkdirAll(dir+"/files", 0o755))
	s, err := Open(Options{FS: disk, Dir: dir, Names: []string{"files"}, Keys: keys})
	must(t, err)
	must(t, s.Begin())
	return s
}

func create(t testing.TB, f vfs.FS, name string, content []byte) {
	t.Helper()
	file, err := f.Create(name, vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = file.Write(bytes.Clone(content))
	must(t, errors.Join(err, file.Sync(), file.Close()))
}

func read(t testing.TB, f vfs.FS, name string) []byte {
	t.Helper()
	file, err := f.Open(name)
	must(t, err)
	b, err := io.ReadAll(file)
	must(t, errors.Join(err, file.Close()))
	return b
}

// A file system that encrypts is one like any other: whatever is done to it, with rotations in between, the files
// are those of one that does not. What is behind the end of what was written to a file that was used again is
// undefined, so such files are compared up to there.
func TestItIsAFileSystem(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			m := newModel(t, seed)
			for range 400 {
				m.step()
			}
			m.compare()
			if m.rotations < 3 {
				t.Errorf("only %d rotations", m.rotations)
			}
		})
	}
}

// model does the same to an encrypted and to a plain file system.
type model struct {
	t         *testing.T
	rng       *rand.Rand
	is        *FS
	disk      vfs.FS
	keys      []Key
	content   map[string][]byte
	writers   map[string]vfs.File
	readers   map[string]vfs.File
	rotations int
}

func newModel(t *testing.T, seed uint64) *model {
	keys := []Key{NewKey()}
	disk := vfs.NewMem()
	return &model{t: t, rng: rand.New(rand.NewPCG(seed, 0)), is: newFS(t, disk, keys...), disk: disk, keys: keys,
		content: map[string][]byte{}, writers: map[string]vfs.File{}, readers: map[string]vfs.File{}}
}

func (m *model) name() string { return fmt.Sprintf("%s/files/%d", dir, m.rng.IntN(6)) }

func (m *model) bytes() []byte {
	b := make([]byte, m.rng.IntN([]int{2, 40, 5000}[m.rng.IntN(3)]))
	for i := range b {
		b[i] = byte(m.rng.Uint32())
	}
	return b
}

// drop closes what is open of a name.
func (m *model) drop(name string) {
	for _, files := range []map[string]vfs.File{m.writers, m.readers} {
		if f := files[name]; f != nil {
			must(m.t, f.Close())
			delete(files, name)
		}
	}
}

func (m *model) step() {
	name := m.name()
	_, there := m.content[name]
	switch n := m.rng.IntN(20); {
	case n < 2 || !there:
		m.drop(name)
		f, err := m.is.Create(name, vfs.WriteCategoryUnspecified)
		must(m.t, err)
		m.writers[name], m.content[name] = f, nil
	case n < 9:
		if f := m.writers[name]; f != nil {
			b := m.bytes()
			_, err := f.Write(bytes.Clone(b))
			must(m.t, err)
			m.content[name] = append(m.content[name], b...)
		}
	case n == 9:
		if f := m.writers[name]; f != nil {
			must(m.t, errors.Join(f.Sync(), f.Close()))
			delete(m.writers, name)
		}
	case n == 10:
		m.rename(name)
	case n == 11:
		m.drop(name)
		must(m.t, m.is.Remove(name))
		delete(m.content, name)
	case n == 12:
		m.reuse(name)
	case n == 13:
		m.overwrite(name)
	case n == 14:
		m.rotate()
	case n == 15:
		m.reopen()
	default:
		m.readSome(name)
	}
}

func (m *model) rename(name string) {
	to := m.name()
	if to == name || m.readers[name] != nil {
		return
	}
	m.drop(to)
	must(m.t, m.is.Rename(name, to))
	m.content[to] = m.content[name]
	delete(m.content, name)
	if f := m.writers[name]; f != nil { // it goes on under the new name
		m.writers[to] = f
		delete(m.writers, name)
	}
}

// reuse writes a file over another one, as the log does with its segments.
func (m *model) reuse(name string) {
	to := m.name()
	if to == name {
		return
	}
	m.drop(name)
	m.drop(to)
	f, err := m.is.ReuseForWrite(name, to, vfs.WriteCategoryUnspecified)
	must(m.t, err)
	delete(m.content, name)
	m.content[to], m.writers[to] = nil, f
	if m.rng.IntN(4) == 0 {
		m.rotate()
	}
	b := append(m.bytes(), 1)
	_, err = f.Write(bytes.Clone(b))
	must(m.t, err)
	m.content[to] = b
}

// overwrite writes what is there once more.
func (m *model) overwrite(name string) {
	b := m.content[name]
	if m.writers[name] != nil || len(b) == 0 {
		return
	}
	f, err := m.is.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	must(m.t, err)
	at := m.rng.IntN(len(b))
	piece := bytes.Clone(b[at : at+m.rng.IntN(len(b)-at+1)])
	n, err := f.WriteAt(piece, int64(at))
	if n != len(piece) || !bytes.Equal(piece, b[at:at+len(piece)]) {
		m.t.Fatalf("%d of %d bytes written, or the caller's were changed", n, len(piece))
	}
	must(m.t, errors.Join(err, f.Sync(), f.Close()))
}

func (m *model) rotate() {
	if m.rng.IntN(2) == 0 {
		m.keys = append([]Key{NewKey()}, m.keys...)
	}
	if err := m.is.Rotate(m.keys); err != nil && !errors.Is(err, ErrRotating) {
		m.t.Fatal(err)
	}
	m.rotations++
	if m.rng.IntN(2) == 0 {
		return // later, perhaps over another start
	}
	m.finish()
}

// finish rewrites all, which nothing keeps it from here.
func (m *model) finish() {
	done, err := m.is.Rewrite(context.Background())
	must(m.t, err)
	if u, err := m.is.Usage(); !done || err != nil || len(u.DataKeys) != 1 || u.Rotating {
		m.t.Fatalf("rewritten: %v, %+v, %v", done, u, err)
	}
}

// reopen is another start, with the newest keys that are needed.
func (m *model) reopen() {
	for _, name := range slices.Concat(names(m.writers), names(m.readers)) {
		m.drop(name)
	}
	s, err := Open(Options{FS: m.disk, Dir: dir, Names: []string{"files"}, Keys: m.keys})
	must(m.t, err)
	must(m.t, s.Begin())
	m.is = s
}

func names(files map[string]vfs.File) (all []string) {
	for name := range files {
		all = append(all, name)
	}
	return all
}

func (m *model) readSome(name string) {
	b := m.content[name]
	f := m.readers[name]
	if f == nil {
		var err error
		f, err = m.is.Open(name)
		must(m.t, err)
		if m.rng.IntN(2) == 0 {
			m.readers[name] = f // it stays open, whatever comes
		} else {
			defer f.Close()
		}
	}
	if len(b) == 0 {
		return
	}
	at := m.rng.IntN(len(b))
	got := make([]byte, m.rng.IntN(len(b)-at+1))
	if _, err := f.ReadAt(got, int64(at)); err != nil && !errors.Is(err, io.EOF) {
		m.t.Fatal(err)
	}
	if !bytes.Equal(got, b[at:at+len(got)]) {
		m.t.Fatalf("%s: other bytes at %d", name, at)
	}
}

func (m *model) compare() {
	for name, want := range m.content {
		got := read(m.t, m.is, name)
		info, err := m.is.Stat(name)
		must(m.t, err)
		if len(want) > 0 && info.Size() != int64(len(got)) || len(got) < len(want) ||
			!bytes.Equal(got[:len(want)], want) {
			m.t.Errorf("%s has %d bytes, Stat says %d; %d were written", name, len(got), info.Size(), len(want))
		}
	}
}

// Every bit of a header matters, and no damage to one passes for an empty file.
func TestDamagedHeadersAreDamage(t *testing.T) {
	t.Parallel()
	key := NewKey()
	disk := vfs.NewMem()
	s := newFS(t, disk, key)
	create(t, s, dir+"/files/a", []byte("promise"))
	raw := read(t, disk, dir+"/files/a")
	for bit := range HeaderBytes * 8 {
		b := bytes.Clone(raw)
		b[bit/8] ^= 1 << (bit % 8)
		create(t, disk, dir+"/files/b", b)
		if _, err := s.Open(dir + "/files/b"); !errors.Is(err, codec.ErrCorrupt) && !errors.Is(err, codec.ErrFormat) {
			t.Fatalf("bit %d: %v", bit, err)
		}
	}
	for length := range len(raw) { // as a crash leaves a file that was just made
		create(t, disk, dir+"/files/b", make([]byte, length))
		if got := read(t, s, dir+"/files/b"); len(got) > 0 {
			t.Fatalf("%d zeros are %q", length, got)
		}
		f, err := s.Open(dir + "/files/b")
		must(t, err)
		info, err := f.Stat()
		must(t, errors.Join(err, f.Close()))
		if info.Size() != 0 {
			t.Fatalf("%d zeros have %d bytes", length, info.Size())
		}
	}
	lost := append(make([]byte, HeaderBytes), raw[HeaderBytes:]...)
	create(t, disk, dir+"/files/b", lost)
	if _, err := s.Open(dir + "/files/b"); !errors.Is(err, codec.ErrCorrupt) {
		t.Fatalf("a header that is gone: %v", err)
	}
}

// A writer is never kept from writing, and no reader sees anything but what was written, while keys are rotated.
func TestRotationUnderWrites(t *testing.T) {
	t.Parallel()
	key := NewKey()
	s := newFS(t, vfs.NewMem(), key)
	name := dir + "/files/log"
	writer, err := s.Create(name, vfs.WriteCategoryUnspecified)
	must(t, err)
	line := func(i int) []byte { return fmt.Appendf(nil, "line %011d\n", i) }
	_, err = writer.Write(line(0))
	must(t, err)
	reader, err := s.Open(name)
	must(t, err)
	const lines = 20_000
	done := make(chan error)
	go func() {
		for i := 1; i < lines; i++ {
			if _, err := writer.Write(line(i)); err != nil {
				done <- err
				return
			}
			got := make([]byte, 17)
			if _, err := reader.ReadAt(got, int64(17*i)); err != nil || !bytes.Equal(got, line(i)) {
				done <- fmt.Errorf("line %d is %q, %w", i, got, err)
				return
			}
		}
		done <- nil
	}()
	rotations := 0
	for {
		select {
		case err := <-done:
			must(t, errors.Join(err, writer.Close(), reader.Close()))
			if b := read(t, s, name); len(b) != 17*lines || rotations < 3 {
				t.Errorf("%d bytes after %d rotations", len(b), rotations)
			}
			return
		default:
			must(t, s.Rotate([]Key{key}))
			if ok, err := s.Rewrite(context.Background()); !ok || err != nil {
				t.Fatalf("not rewritten: %v", err)
			}
			rotations++
		}
	}
}

// Key streams of blocks of one file do not meet, and the counter carries.
func TestTheCounterCarries(t *testing.T) {
	t.Parallel()
	c := counter(bytes.Repeat([]byte{0xff}, 16))
	if got := c.at(1); got != (counter{}) {
		t.Errorf("%x", got)
	}
	low := counter{7: 1, 15: 2}
	if got, want := low.at(1<<63), (counter{7: 1, 8: 0x80, 15: 2}); got != want {
		t.Errorf("%x, want %x", got, want)
	}
	copy(low[8:], bytes.Repeat([]byte{0xff}, 8))
	if got, want := low.at(2), (counter{7: 2, 15: 1}); got != want {
		t.Errorf("%x, want %x", got, want)
	}
	k, err := newDataKey(1, time.Time{}, bytes.NewReader(make([]byte, 32)))
	must(t, err)
	st := stream{k, low}
	whole := make([]byte, 1000)
	st.from(0).XORKeyStream(whole, whole)
	for at := range int64(100) {
		part := make([]byte, 100)
		st.from(at).XORKeyStream(part, part)
		if !bytes.Equal(part, whole[at:at+100]) {
			t.Fatalf("the key stream differs at %d", at)
		}
	}
}
