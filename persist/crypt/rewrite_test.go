package crypt

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// meanwhile does something when the next copy is begun: its file is known, and nothing of it is read yet.
type meanwhile struct {
	vfs.FS
	do func()
}

// OpenReadWrite implements vfs.FS.
func (m *meanwhile) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	if do := m.do; do != nil && strings.Contains(name, rewriteDir) {
		m.do = nil
		do()
	}
	return m.FS.OpenReadWrite(name, c, o...)
}

// What comes to a file at the moment at which its copy is begun is in the copy, also when its writer then ends: so it
// is with a table that is being written during a rotation.
func TestAWriterThatEndsAsItsCopyBegins(t *testing.T) {
	t.Parallel()
	key := NewKey()
	disk := &meanwhile{FS: vfs.NewMem()}
	s := newFS(t, disk, key)
	name, want := dir+"/files/table", bytes.Repeat([]byte("table "), 1000)
	writer, err := s.Create(name, vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = writer.Write(bytes.Clone(want[:600]))
	must(t, err)
	must(t, s.Rotate([]Key{key}))
	disk.do = func() {
		_, err := writer.Write(bytes.Clone(want[600:]))
		must(t, errors.Join(err, writer.Sync(), writer.Close()))
	}
	done, err := s.Rewrite(context.Background())
	must(t, err)
	if got := read(t, s, name); !bytes.Equal(got, want) {
		t.Errorf("%d of %d bytes are left", len(got), len(want))
	}
	if !done || disk.do != nil {
		t.Errorf("rewritten: %v, a copy was begun: %v", done, disk.do == nil)
	}
}

// A file that was removed while it is open is not the next one that is made, of whatever name.
func TestARemovedFileStaysItself(t *testing.T) {
	t.Parallel()
	key := NewKey()
	s := newFS(t, vfs.NewMem(), key)
	create(t, s, dir+"/files/removed", []byte("was here before"))
	reader, err := s.Open(dir + "/files/removed")
	must(t, err)
	must(t, s.Remove(dir+"/files/removed"))
	writer, err := s.Create(dir+"/files/next", vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = writer.Write([]byte("came after that"))
	must(t, err)
	must(t, s.Rotate([]Key{key}))
	if done, err := s.Rewrite(context.Background()); !done || err != nil {
		t.Fatalf("rewritten: %v, %v", done, err)
	}
	got := make([]byte, 15)
	if _, err := reader.ReadAt(got, 0); err != nil || string(got) != "was here before" {
		t.Errorf("the removed file holds %q, %v", got, err)
	}
	must(t, errors.Join(reader.Close(), writer.Close()))
}

// full has no room for the next copy.
type full struct {
	vfs.FS
	now bool
}

// OpenReadWrite implements vfs.FS.
func (f *full) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	if f.now && strings.Contains(name, rewriteDir) {
		f.now = false
		return nil, syscall.ENOSPC
	}
	return f.FS.OpenReadWrite(name, c, o...)
}

// A file that cannot be rewritten is named, keeps its key, and holds up no other.
func TestAFileThatCannotBeRewrittenHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	key := NewKey()
	disk := &full{FS: vfs.NewMem()}
	s := newFS(t, disk, key)
	a, b := dir+"/files/a", dir+"/files/b"
	create(t, s, a, []byte("promise"))
	create(t, s, b, []byte("promise"))
	must(t, s.Rotate([]Key{key}))
	disk.now = true
	done, err := s.Rewrite(context.Background())
	if done || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), a) {
		t.Fatalf("done %v, %v", done, err)
	}
	current := s.ring.Load().current().id
	of := func(name string) uint32 {
		id, _, err := s.look(name)
		must(t, err)
		return id
	}
	if of(a) == current || of(b) != current || !s.Pending() || string(read(t, s, a)) != "promise" {
		t.Errorf("the keys of a and b are %d and %d, the current one is %d", of(a), of(b), current)
	}
	if done, err := s.Rewrite(context.Background()); !done || err != nil || of(a) != current {
		t.Errorf("with room: done %v, %v", done, err)
	}
}
