package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist/codec"
	"pxkv/persist/data"
	"pxkv/persist/disk"
	"pxkv/persist/disktest"
	"pxkv/persist/raftlog"
)

func readFile(t testing.TB, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	must(t, err)
	defer f.Close()
	b, err := io.ReadAll(f)
	must(t, err)
	return b
}

func isSync(op errorfs.Op) bool {
	return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
}

// The stores of this test are left as they are: a node with a broken disk ends.
func TestFailedFsyncIsTheEnd(t *testing.T) {
	t.Parallel()
	var snapshot []byte
	{
		db := openTest(t, vfs.NewMem())
		filled(t, db, 1)
		snapshot = streamOf(t, db, 1)
		must(t, db.Close())
	}
	for _, tc := range []struct {
		what string
		do   func(*DB, *raftlog.Replica, *data.Staged)
	}{
		{"log batch", func(db *DB, r *raftlog.Replica, _ *data.Staged) {
			b := db.NewBatch()
			b.Append(r, entries(61, 61, 3))
			_ = b.Commit()
		}},
		{"install", func(db *DB, r *raftlog.Replica, s *data.Staged) {
			b := db.NewBatch()
			b.Install(r, s, raftHardState(hardOf(r)))
			_ = b.Commit()
		}},
	} {
		fs, armed := disktest.Failing(isSync)
		db, err := Open(Options{Dir: "node", FS: fs, Light: true, Fatal: disktest.Fatal})
		must(t, err)
		r := filled(t, db, 1)
		staged, err := db.StageSnapshot(1, bytes.NewReader(snapshot))
		must(t, err)
		armed.Store(true)
		text := disktest.LastWords(func() { tc.do(db, r, staged) })
		if !strings.Contains(text, disktest.ErrDisk.Error()) || !strings.Contains(text, "node") {
			t.Errorf("%s: last words are %q", tc.what, text)
		}
		wantText(t, db.Close(), "its disk failed before")
	}
}

func TestFailedFsyncElsewhereIsAnError(t *testing.T) {
	t.Parallel()
	fs, armed := disktest.Failing(func(op errorfs.Op) bool {
		return isSync(op) && (strings.Contains(op.Path, "identity") || strings.Contains(op.Path, "staging"))
	})
	db := openTest(t, fs)
	filled(t, db, 1)
	stream := streamOf(t, db, 1)
	must(t, db.SaveIdentity(Identity{Starts: 1}))
	armed.Store(true)
	if err := db.SaveIdentity(Identity{Starts: 2}); !errors.Is(err, disktest.ErrDisk) {
		t.Errorf("saving the identity: %v", err)
	}
	if id, _, err := db.Identity(); err != nil || id.Starts != 1 {
		t.Errorf("identity is %v, %v", id, err)
	}
	if _, err := db.StageSnapshot(1, bytes.NewReader(stream)); !errors.Is(err, disktest.ErrDisk) {
		t.Errorf("staging: %v", err)
	}
	if names, err := fs.List("node/staging"); err != nil || len(names) != 0 {
		t.Errorf("staging has %v, %v", names, err)
	}
	must(t, db.Close())
}

func TestFailedFlushIsTheEnd(t *testing.T) {
	t.Parallel()
	fs, armed := disktest.Failing(func(op errorfs.Op) bool { return isSync(op) && strings.HasSuffix(op.Path, ".sst") })
	words := make(chan string, 1)
	db, err := Open(Options{Dir: "node", FS: fs, StallAfter: -1, Fatal: func(text string) {
		words <- text
		runtime.Goexit()
	}})
	must(t, err)
	filled(t, db, 1)
	armed.Store(true)
	db.FlushAll()
	select {
	case text := <-words:
		if !strings.Contains(text, disktest.ErrDisk.Error()) || !strings.Contains(text, "node") {
			t.Errorf("last words are %q", text)
		}
	case <-time.After(30 * time.Second):
		t.Error("nobody noticed")
	}
	wantText(t, db.Close(), "its disk failed before")
}

func TestStalledDiskIsTheEnd(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var stall atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if stall.Load() && isSync(op) {
			<-release
		}
		return nil
	}))
	words := make(chan string, 1)
	db, err := Open(Options{Dir: "node", FS: fs, StallAfter: 50 * time.Millisecond, Fatal: func(text string) {
		words <- text
		runtime.Goexit()
	}})
	must(t, err)
	r := filled(t, db, 1)
	stall.Store(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := db.NewBatch()
		b.Append(r, entries(61, 61, 3))
		_ = b.Commit()
	}()
	select {
	case text := <-words:
		if !strings.Contains(text, "stalled") || !strings.Contains(text, "node") {
			t.Errorf("last words are %q", text)
		}
	case <-time.After(30 * time.Second):
		t.Error("nobody noticed")
	}
	stall.Store(false)
	close(release)
	<-done
}

// TestFlippedBits flips a bit at many places of each file of a store. It must be noticed, at
// the opening or by a read, or make no difference. One thing cannot be told from a power loss
// in the midst of a write: damage to the last batch of a store that was not closed.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		what   string
		ext    string // of the file that matters
		finish func(*DB)
	}{
		{"in the tree of a closed store", ".sst", func(db *DB) { must(t, db.Close()) }},
		{"in the log of a closed store", ".log", func(db *DB) { must(t, db.Close()) }},
		{"in the log of a crashed store", ".log", nil},
	} {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			fs := vfs.NewCrashableMem()
			db := openTest(t, fs)
			var r *raftlog.Replica
			for p := range kv.PartitionID(3) {
				r = filled(t, db, p)
				appendAll(t, db, r, []*raftpb.Entry{entry(61, 3, strings.Repeat("long", 10000))}) // of several blocks
			}
			applyTo(t, db, r, 55)
			appendAll(t, db, r, entries(62, 64, 3))
			before, err := storeText(db)
			must(t, err)
			appendAll(t, db, r, entries(65, 66, 4))
			last, err := storeText(db)
			must(t, err)
			allowed := []string{last}
			if tc.finish != nil {
				tc.finish(db)
			} else {
				allowed = append(allowed, before)
			}
			noticed := map[string]int{}
			for _, dir := range []string{"node/db", "node/log"} {
				names, err := fs.List(dir)
				must(t, err)
				for _, name := range names {
					size := len(readFile(t, fs, path.Join(dir, name)))
					for at := 0; at < size; at += 1 + size/150 {
						if flip(t, fs, path.Join(dir, name), at, allowed) {
							noticed[path.Ext(name)]++
						}
					}
				}
			}
			if noticed[tc.ext] < 100 {
				t.Errorf("noticed only %v", noticed)
			}
		})
	}
}

// flip opens a copy of the store with one bit flipped, applies again what is missing, reads all
// of it, and reports whether damage was noticed.
func flip(t *testing.T, from *vfs.MemFS, name string, at int, allowed []string) (noticed bool) {
	t.Helper()
	fs := from.CrashClone(vfs.CrashCloneCfg{})
	content := readFile(t, fs, name)
	if at >= len(content) {
		return false // this much of it was not synced
	}
	content[at] ^= 1 << (at % 8)
	must(t, disk.WriteFile(fs, path.Dir(name), path.Base(name), fixed(content)))
	var got string
	var err error
	words := disktest.LastWords(func() {
		var db *DB
		db, err = Open(Options{Dir: "node", FS: fs, Light: true, Fatal: disktest.Fatal})
		if err != nil {
			if ext := path.Ext(name); (ext == ".sst" || ext == ".log") && !errors.Is(err, codec.ErrCorrupt) &&
				!errors.Is(err, codec.ErrFormat) {
				t.Errorf("bit flipped at %d of %s: the error is not labelled: %v", at, name, err)
			}
			return
		}
		// Effects may be lost as long as the log brings them again.
		replicas, _ := db.Replicas()
		for _, r := range replicas {
			if to := []uint64{50, 50, 55}[r.Partition()]; r.Applied().Index < to {
				applyTo(t, db, r, to)
			}
		}
		if got, err = storeText(db); err == nil {
			err = db.Close()
		}
	})
	if err == nil && words == "" && !slices.Contains(allowed, got) {
		t.Errorf("bit flipped at %d of %s: the store opens and has something else:\n%s", at, name, brief(got))
	}
	return err != nil || words != ""
}

// TestAnEntryThatIsCorruptIsTheEnd damages the log of a store that is open.
func TestAnEntryThatIsCorruptIsTheEnd(t *testing.T) {
	t.Parallel()
	big := string(make([]byte, 256<<10))
	fs := vfs.NewMem()
	db, err := Open(Options{Dir: "node", FS: fs, Light: true, Fatal: disktest.Fatal})
	must(t, err)
	r := filled(t, db, 1)
	appendAll(t, db, r, []*raftpb.Entry{entry(61, 3, big), entry(62, 3, big)})
	applyTo(t, db, r, 62)
	appendAll(t, db, r, entries(63, 63, 3)) // the old entries leave memory
	f, err := fs.OpenReadWrite("node/log/0000000000000001.log", vfs.WriteCategoryUnspecified)
	must(t, err)
	at := bytes.Index(readFile(t, fs, "node/log/0000000000000001.log"), []byte("entry 7 of term 3"))
	_, err = f.WriteAt([]byte("E"), int64(at))
	must(t, errors.Join(err, f.Close()))
	text := disktest.LastWords(func() { _, err = r.Entries(5, 10, 1<<20) })
	if !strings.Contains(text, "join as a new node") || !strings.Contains(text, "partition 1") {
		t.Errorf("error %v, last words %q", err, text)
	}
}

// TestFailedSyncOfPebblesDirectoryIsTheEnd: where a marker names another file, Pebble itself would panic, on
// any goroutine.
func TestFailedSyncOfPebblesDirectoryIsTheEnd(t *testing.T) {
	t.Parallel()
	isSyncOfDirectory := func(op errorfs.Op) bool {
		return op.Kind == errorfs.OpFileSync && path.Base(op.Path) == data.Dir
	}
	moved := false // of the goroutine that opens
	for when, tc := range map[string]struct {
		fails func(errorfs.Op) bool
		do    func(*DB)
	}{
		"a marker moves": {fails: func(op errorfs.Op) bool {
			moved = moved || op.Kind == errorfs.OpCreate && strings.HasPrefix(path.Base(op.Path), "marker.manifest.")
			return moved && isSyncOfDirectory(op)
		}},
		"a table is made": {isSyncOfDirectory, func(db *DB) {
			bootstrap(t, db, 1, 1)
			db.WantFlush()
		}},
	} {
		fs, armed := disktest.Failing(tc.fails)
		armed.Store(tc.do == nil)
		said := make(chan string, 1)
		go func() {
			db, err := Open(Options{Dir: "node", FS: fs, Light: true, Fatal: func(text string) {
				said <- text
				runtime.Goexit()
			}})
			if armed.Store(true); err == nil && tc.do != nil {
				tc.do(db)
			}
			said <- fmt.Sprintf("nothing: %v", err)
		}()
		if text := <-said; !strings.Contains(text, "sync of directory node/db failed") {
			t.Errorf("%s: Fatal said %q", when, text)
		}
	}
}
