package persist

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"

	"pxkv/persist/codec"
	"pxkv/persist/crypt"
	"pxkv/persist/data"
)

// keysOf is what Options.Keys takes.
func keysOf(keys ...crypt.Key) func() ([]crypt.Key, error) {
	return func() ([]crypt.Key, error) { return keys, nil }
}

// contents are all files below a directory, by their paths.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	}))
	return all
}

const planted = "planted in clear"

// plant writes a text into everything that a store has: entries and tables, a snapshot that waits, the identity.
func plant(t *testing.T, db *DB) *data.Staged {
	t.Helper()
	r := bootstrap(t, db, 1, 7)
	appendAll(t, db, r, []*raftpb.Entry{entry(2, 1, planted), entry(3, 1, planted)})
	a := db.NewApply()
	a.Put(1, []byte(planted), stringRecord(planted, 1))
	ap := r.Applied()
	ap.Index = 3
	a.SetApplied(r, ap)
	must(t, a.Commit())
	must(t, db.Flush())
	must(t, db.SaveIdentity(Identity{Node: 7, Name: planted, Starts: 1}))
	staged, err := db.StageSnapshot(1, snapshotStream(t, 1, &modelReplica{
		id: 9, applied: ap, data: map[string]data.Record{planted: stringRecord(planted, 2)}, due: map[string]bool{},
	}))
	must(t, err)
	return staged
}

// Of what a node writes nothing can be read without its key. The same look finds it where nothing is encrypted.
func TestNothingIsInClear(t *testing.T) {
	t.Parallel()
	for _, keys := range [][]crypt.Key{nil, {crypt.NewKey()}} {
		dir := filepath.Join(t.TempDir(), "node")
		db, err := Open(Options{Dir: dir, Keys: keysOf(keys...), Pebble: data.Pebble{DisableCompactions: true}})
		must(t, err)
		staged := plant(t, db)
		places := map[string]bool{}
		for path, content := range contents(t, dir) {
			if strings.Contains(content, planted) || strings.Contains(content, "planted") {
				rel, _ := filepath.Rel(dir, path)
				places[strings.Split(rel, "/")[0]] = true
			}
		}
		switch {
		case keys == nil && (!places["log"] || !places["db"] || !places["staging"] || !places[identityFile]):
			t.Errorf("without a key the text is found only in %v: the test looks badly", places)
		case keys != nil && len(places) > 0:
			t.Errorf("with a key the text is found in %v", places)
		}
		staged.Discard()
		must(t, db.Close())
	}
}

// What does not fit is refused, says why, and leaves the directory as it is, byte for byte.
func TestWhatDoesNotFitIsRefused(t *testing.T) {
	t.Parallel()
	key, other := crypt.NewKey(), crypt.NewKey()
	root := t.TempDir()
	make := func(name string, keys ...crypt.Key) string {
		dir := filepath.Join(root, name)
		db, err := Open(Options{Dir: dir, Keys: keysOf(keys...), Light: true})
		must(t, err)
		plant(t, db).Discard()
		must(t, db.Close())
		return dir
	}
	encrypted, plain := make("encrypted", key), make("plain")
	damaged := func(name string, change func(b []byte) []byte) string {
		dir := filepath.Join(root, name)
		must(t, os.CopyFS(dir, os.DirFS(encrypted)))
		path := filepath.Join(dir, crypt.RingFile)
		b, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(path, change(b), 0o600))
		return dir
	}
	replace := func(old, is string) func([]byte) []byte {
		return func(b []byte) []byte {
			if !bytes.Contains(b, []byte(old)) {
				t.Fatalf("there is no %q in %s", old, b)
			}
			return bytes.Replace(b, []byte(old), []byte(is), 1)
		}
	}
	for _, tc := range []struct {
		dir  string
		keys func() ([]crypt.Key, error)
		is   error
		text string
	}{
		{encrypted, nil, crypt.ErrNoKey, "give the node its key by --encryption-key-file"},
		{encrypted, keysOf(), crypt.ErrNoKey, "nothing was changed"},
		{encrypted, keysOf(other), crypt.ErrWrongKey, "wrapped by key " + key.Fingerprint()},
		{plain, keysOf(key), crypt.ErrPlain, "encrypt it by rebuilding it"},
		{plain, func() ([]crypt.Key, error) { return nil, errors.New("no file") }, nil, "no file"},
		{damaged("cut", func(b []byte) []byte { return b[:len(b)/2] }), keysOf(key), codec.ErrCorrupt, "damaged"},
		{damaged("empty", func([]byte) []byte { return nil }), keysOf(key), codec.ErrCorrupt, "damaged"},
		{damaged("id", replace(`"id": 1`, `"id": 2`)), keysOf(key), codec.ErrCorrupt, "or was changed"},
		{damaged("sealed", replace(`"sealed": "`, `"sealed": "AA`)), keysOf(key), codec.ErrCorrupt, "damaged"},
		{damaged("newer", replace(`"format": 1`, `"format": 9`)), keysOf(key), codec.ErrFormat, "knows 1"},
	} {
		before := contents(t, tc.dir)
		db, err := Open(Options{Dir: tc.dir, Keys: tc.keys, Light: true})
		if err == nil {
			must(t, db.Close())
		}
		if err == nil || tc.is != nil && !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: want %q, got %v", tc.dir, tc.text, err)
		}
		after := contents(t, tc.dir)
		for path := range before {
			if after[path] != before[path] {
				t.Errorf("%s: %s was changed", tc.dir, path)
			}
		}
		if len(after) != len(before) {
			t.Errorf("%s: there were %d files, now there are %d", tc.dir, len(before), len(after))
		}
	}
	for _, dir := range []string{encrypted, plain} { // and nothing keeps the right key, or none, from it
		o := Options{Dir: dir}
		if dir == encrypted {
			o.Keys = keysOf(other, key)
		}
		db, err := Open(o)
		must(t, err)
		must(t, db.Close())
	}
}

// A rotation goes through all that there is while the store is in use, and then the old keys are needed no more.
func TestRotationEnds(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "node")
	first, second := crypt.NewKey(), crypt.NewKey()
	keys := []crypt.Key{first}
	o := Options{Dir: dir, Keys: func() ([]crypt.Key, error) { return keys, nil }}
	db, err := Open(o)
	must(t, err)
	staged := plant(t, db)
	r := db.Replica(1)
	for i := range uint64(50) { // the newest segment is read, and written to
		appendAll(t, db, r, []*raftpb.Entry{entry(4+i, 1, strings.Repeat(planted, 20<<10/len(planted)))})
		if i == 20 {
			keys = []crypt.Key{second, first}
			must(t, db.RotateKeys())
		}
		es, err := r.Entries(2, 4+i, math.MaxUint64)
		must(t, err)
		if len(es) != int(2+i) || string(es[0].GetData()) != planted {
			t.Fatalf("%d entries, the first is %q", len(es), es[0].GetData())
		}
	}
	deadline := time.Now().Add(time.Minute)
	for {
		u, encrypted, err := db.Encryption()
		must(t, err)
		if encrypted && !u.Rotating {
			if len(u.DataKeys) != 1 || u.DataKeys[0].ID != 2 || u.WrappedBy != second.Fingerprint() ||
				u.Rotations != 1 {
				t.Fatalf("after the rotation: %+v", u)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the rotation does not end: %+v", u)
		}
		time.Sleep(time.Millisecond) // the rotation goes on beside this
	}
	must(t, staged.Prepare(7)) // what waited is whole
	staged.Discard()
	must(t, db.Close())
	keys = []crypt.Key{second}
	db, err = Open(o)
	must(t, err)
	if id, known, err := db.Identity(); err != nil || !known || id.Name != planted || id.Moved {
		t.Errorf("identity %+v, %v, %v: a rotation does not move a directory", id, known, err)
	}
	if rec, ok, err := db.Get(1, []byte(planted)); err != nil || !ok || string(rec.Value.Data) != planted {
		t.Errorf("%v, %v, %v", rec, ok, err)
	}
	es, err := db.Replica(1).Entries(2, 54, math.MaxUint64)
	if err != nil || len(es) != 52 {
		t.Errorf("%d entries, %v", len(es), err)
	}
	must(t, db.Close())
	for path := range contents(t, dir) {
		if strings.Contains(path, "rewrite") {
			t.Errorf("%s is left", path)
		}
	}
}

// full has no room for a copy.
type full struct {
	vfs.FS
	free uint64
}

func (f *full) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: f.free, TotalBytes: 1 << 40}, nil
}

// Where there is no room for copies the old data key stays in use, until there is.
func TestRotationOnAFullDisk(t *testing.T) {
	t.Parallel()
	disk := &full{vfs.NewMem(), 1 << 39}
	db, err := Open(Options{Dir: "node", FS: disk, Keys: keysOf(crypt.NewKey()), Light: true})
	must(t, err)
	plant(t, db).Discard()
	disk.free = 1000
	must(t, db.RotateKeys())
	if u, _, err := db.Encryption(); err != nil || len(u.DataKeys) != 2 || u.DataKeys[0].Files == 0 {
		t.Fatalf("on a full disk: %+v, %v", u, err)
	}
	if err := db.RotateKeys(); !errors.Is(err, crypt.ErrRotating) {
		t.Errorf("a second rotation: %v", err)
	}
	must(t, db.Close())
	disk.free = 1 << 39
	db, err = Open(Options{Dir: "node", FS: disk, Keys: keysOf(must1(db.opts.Keys())...), Light: true})
	must(t, err)
	if u, _, err := db.Encryption(); err != nil || len(u.DataKeys) != 1 {
		t.Errorf("after another start, with room: %+v, %v", u, err)
	}
	must(t, db.Close())
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A start that died before the node was anybody leaves a directory that can be started again, with a key or without.
func TestAFirstStartThatDied(t *testing.T) {
	t.Parallel()
	for _, keys := range [][]crypt.Key{nil, {crypt.NewKey()}} {
		fs := vfs.NewMem()
		must(t, fs.MkdirAll("node/db", 0o755))
		lock, err := fs.Create("node/db/LOCK", vfs.WriteCategoryUnspecified)
		must(t, errors.Join(err, lock.Close()))
		db, err := Open(Options{Dir: "node", FS: fs, Keys: keysOf(keys...), Light: true})
		must(t, err)
		must(t, db.Close())
	}
}

// An operator gives a copy up on an encrypted directory with the key only.
func TestGivingUpTakesTheKey(t *testing.T) {
	t.Parallel()
	key := crypt.NewKey()
	disk := vfs.NewMem()
	db, err := Open(Options{Dir: "node", FS: disk, Keys: keysOf(key), Light: true})
	must(t, err)
	must(t, db.Close())
	if _, err := Unlock(disk, "node", nil); !errors.Is(err, crypt.ErrNoKey) {
		t.Errorf("without a key: %v", err)
	}
	if _, err := Unlock(disk, "node", []crypt.Key{crypt.NewKey()}); !errors.Is(err, crypt.ErrWrongKey) {
		t.Errorf("with another key: %v", err)
	}
	f, err := Unlock(disk, "node", []crypt.Key{key})
	must(t, err)
	must(t, GiveUp(f, "node", 7))
	if got := readFile(t, disk, "node/rebuild/7"); len(got) > 0 {
		t.Errorf("the mark has %d bytes", len(got))
	}
	db, err = Open(Options{Dir: "node", FS: disk, Keys: keysOf(key), Light: true})
	must(t, err)
	must(t, db.Close())
}

// closing does something when a file of that name was written, and has not got its own name yet.
type closing struct {
	vfs.FS
	name string
	do   func()
}

// Create implements vfs.FS.
func (c *closing) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := c.FS.Create(name, category)
	if err != nil || c.do == nil || c.PathBase(name) != c.name {
		return f, err
	}
	return closingFile{f, c}, nil
}

type closingFile struct {
	vfs.File
	of *closing
}

// Close implements vfs.File.
func (f closingFile) Close() error {
	err := f.File.Close()
	if do := f.of.do; do != nil {
		f.of.do = nil
		do()
	}
	return err
}

// A rotation that begins and ends while a new identity waits to take the place of the old one does not forget the
// data key of it.
func TestRotationWhileTheIdentityIsSaved(t *testing.T) {
	t.Parallel()
	disk := &closing{FS: vfs.NewMem(), name: identityFile + ".tmp"}
	o := Options{Dir: "node", FS: disk, Keys: keysOf(crypt.NewKey()), Light: true}
	db, err := Open(o)
	must(t, err)
	must(t, db.SaveIdentity(Identity{Node: 7, Starts: 1}))
	disk.do = func() { must(t, db.RotateKeys()) }
	must(t, db.SaveIdentity(Identity{Node: 7, Starts: 2}))
	if u, _, err := db.Encryption(); err != nil || u.Rotations != 1 || len(u.DataKeys) != 1 || disk.do != nil {
		t.Errorf("the rotation has not ended: %+v, %v", u, err)
	}
	must(t, db.Close())
	db, err = Open(o)
	must(t, err)
	if id, known, err := db.Identity(); err != nil || !known || id.Starts != 2 {
		t.Errorf("%+v, %v, %v", id, known, err)
	}
	must(t, db.Close())
}

// Who opens a directory only to read it does not go on with a rotation: what would be rewritten is all that there is.
func TestARotationIsLeftAlone(t *testing.T) {
	t.Parallel()
	disk := &full{vfs.NewMem(), 1 << 39}
	o := Options{Dir: "node", FS: disk, Keys: keysOf(crypt.NewKey()), Light: true}
	db, err := Open(o)
	must(t, err)
	plant(t, db).Discard()
	disk.free = 1000
	must(t, db.RotateKeys())
	must(t, db.Close())
	disk.free = 1 << 39
	for _, keeps := range []bool{true, false} {
		o.KeepsOldKeys = keeps
		db, err := Open(o)
		must(t, err)
		if u, _, err := db.Encryption(); err != nil || keeps != (len(u.DataKeys) == 2) || keeps != u.Rotating {
			t.Errorf("keeps: %v, %+v, %v", keeps, u, err)
		}
		if rec, ok, err := db.Get(1, []byte(planted)); err != nil || !ok || string(rec.Value.Data) != planted {
			t.Errorf("keeps: %v, %v, %v, %v", keeps, rec, ok, err)
		}
		must(t, db.Close())
	}
}

// A directory that has lost its data keys is not taken for one in the clear, nor for one to be emptied: when they are
// back, all is.
func TestDataKeysThatAreGone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "node")
	o := Options{Dir: dir, Keys: keysOf(crypt.NewKey()), Light: true}
	db, err := Open(o)
	must(t, err)
	plant(t, db).Discard()
	must(t, db.Close())
	ring := filepath.Join(dir, crypt.RingFile)
	must(t, os.Rename(ring, dir+".ring"))
	before := contents(t, dir)
	for _, keys := range []func() ([]crypt.Key, error){o.Keys, nil} {
		db, err := Open(Options{Dir: dir, Keys: keys, Light: true})
		if err == nil {
			must(t, db.Close())
		}
		if !errors.Is(err, crypt.ErrNoRing) || !strings.Contains(err.Error(), "put that file back") {
			t.Errorf("with a key: %v: %v", keys != nil, err)
		}
		if after := contents(t, dir); !maps.Equal(before, after) {
			t.Errorf("with a key: %v: the directory was changed", keys != nil)
		}
	}
	must(t, os.Rename(dir+".ring", ring))
	db, err = Open(o)
	must(t, err)
	must(t, db.Close())
}
