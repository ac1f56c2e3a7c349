package persist

import (
	"bytes"
	"errors"
	"io"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
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

// lastWords runs f and returns what Fatal was called with, "" if it was not.
func lastWords(f func()) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = p.(lastWord).text
		}
	}()
	f()
	return ""
}

// lastWord is the panic of Fatal in these tests.
type lastWord struct{ text string }

var errDisk = errors.New("input/output error")

// failingDisk fails the chosen operations from the moment that it is armed.
func failingDisk(fails func(errorfs.Op) bool) (vfs.FS, *atomic.Bool) {
	armed := new(atomic.Bool)
	return errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if armed.Load() && fails(op) {
			return errDisk
		}
		return nil
	})), armed
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
		do   func(*DB, *Replica, *Staged)
	}{
		{"log batch", func(db *DB, r *Replica, _ *Staged) {
			b := db.NewBatch()
			b.Append(r, entries(61, 61, 3))
			_ = b.Commit()
		}},
		{"install", func(db *DB, r *Replica, s *Staged) {
			b := db.NewBatch()
			b.Install(r, s, raftHardState(r.hard))
			_ = b.Commit()
		}},
	} {
		fs, armed := failingDisk(isSync)
		db, err := Open(Options{Dir: "node", FS: fs, Light: true, Fatal: func(text string) { panic(lastWord{text}) }})
		must(t, err)
		r := filled(t, db, 1)
		staged, err := db.StageSnapshot(1, bytes.NewReader(snapshot))
		must(t, err)
		armed.Store(true)
		text := lastWords(func() { tc.do(db, r, staged) })
		if !strings.Contains(text, errDisk.Error()) || !strings.Contains(text, "node") {
			t.Errorf("%s: last words are %q", tc.what, text)
		}
		wantText(t, db.Close(), "its disk failed before")
	}
}

func TestFailedFsyncElsewhereIsAnError(t *testing.T) {
	t.Parallel()
	fs, armed := failingDisk(func(op errorfs.Op) bool {
		return isSync(op) && (strings.Contains(op.Path, "identity") || strings.Contains(op.Path, "staging"))
	})
	db := openTest(t, fs)
	filled(t, db, 1)
	stream := streamOf(t, db, 1)
	must(t, db.SaveIdentity(Identity{Starts: 1}))
	armed.Store(true)
	if err := db.SaveIdentity(Identity{Starts: 2}); !errors.Is(err, errDisk) {
		t.Errorf("saving the identity: %v", err)
	}
	if id, _, err := db.Identity(); err != nil || id.Starts != 1 {
		t.Errorf("identity is %v, %v", id, err)
	}
	if _, err := db.StageSnapshot(1, bytes.NewReader(stream)); !errors.Is(err, errDisk) {
		t.Errorf("staging: %v", err)
	}
	if names, err := fs.List("node/staging"); err != nil || len(names) != 0 {
		t.Errorf("staging has %v, %v", names, err)
	}
	must(t, db.Close())
}

func TestFailedFlushIsTheEnd(t *testing.T) {
	t.Parallel()
	fs, armed := failingDisk(func(op errorfs.Op) bool { return isSync(op) && strings.HasSuffix(op.Path, ".sst") })
	words := make(chan string, 1)
	db, err := Open(Options{Dir: "node", FS: fs, StallAfter: -1, Fatal: func(text string) {
		words <- text
		runtime.Goexit()
	}})
	must(t, err)
	filled(t, db, 1)
	armed.Store(true)
	db.flush()
	select {
	case text := <-words:
		if !strings.Contains(text, errDisk.Error()) || !strings.Contains(text, "node") {
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
			var r *Replica
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
func flip(t *testing.T, disk *vfs.MemFS, name string, at int, allowed []string) (noticed bool) {
	t.Helper()
	fs := disk.CrashClone(vfs.CrashCloneCfg{})
	content := readFile(t, fs, name)
	if at >= len(content) {
		return false // this much of it was not synced
	}
	content[at] ^= 1 << (at % 8)
	must(t, writeFile(fs, path.Dir(name), path.Base(name), content))
	var got string
	var err error
	words := lastWords(func() {
		var db *DB
		db, err = Open(Options{Dir: "node", FS: fs, Light: true, Fatal: func(text string) { panic(lastWord{text}) }})
		if err != nil {
			return
		}
		// Effects may be lost as long as the log brings them again.
		replicas, _ := db.Replicas()
		for _, r := range replicas {
			if to := []uint64{50, 50, 55}[r.Partition()]; r.Applied().Index < to {
				applyTo(t, db, r, to)
				r.hard.commit = to
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

// TestCorruptionFoundByAReadIsTheEnd damages what a store has read before.
func TestCorruptionFoundByAReadIsTheEnd(t *testing.T) {
	t.Parallel()
	big := string(make([]byte, tailBytes))
	stored := func(key, value []byte) func(*DB, *Replica) error {
		return func(db *DB, _ *Replica) error { return db.pebble.Set(key, value, pebble.NoSync) }
	}
	for _, tc := range []struct {
		what  string
		write func(*DB, *Replica) error
		read  func(*DB, *Replica) error
	}{
		{"value", stored(appendDataKey(nil, 1, []byte("key0007")), []byte{99}), func(db *DB, _ *Replica) error {
			_, _, err := db.Get(1, []byte("key0007"))
			return err
		}},
		{"value in a list", stored(appendDataKey(nil, 1, []byte("key0007")), []byte{1, 9}), func(db *DB, _ *Replica) error {
			_, _, err := db.Scan(1, nil, nil, false, 0, 0)
			return err
		}},
		{"applied state", stored(kindKey(1, kindApplied), []byte{1}), func(db *DB, _ *Replica) error {
			_, err := db.NewView(1)
			return err
		}},
		{"entry", func(db *DB, r *Replica) error {
			f, err := db.fs.OpenReadWrite("node/log/0000000000000001.log", vfs.WriteCategoryUnspecified)
			must(t, err)
			content := readFile(t, db.fs, "node/log/0000000000000001.log")
			at := bytes.Index(content, []byte("entry 7 of term 3"))
			_, err = f.WriteAt([]byte("E"), int64(at))
			return errors.Join(err, f.Close())
		}, func(_ *DB, r *Replica) error {
			_, err := r.Entries(5, 10, 1<<20)
			return err
		}},
	} {
		db, err := Open(Options{Dir: "node", FS: vfs.NewMem(), Light: true, Fatal: func(text string) { panic(lastWord{text}) }})
		must(t, err)
		r := filled(t, db, 1)
		appendAll(t, db, r, []*raftpb.Entry{entry(61, 3, big), entry(62, 3, big)})
		applyTo(t, db, r, 62)
		appendAll(t, db, r, entries(63, 63, 3)) // the old entries leave memory
		db.drainAll()
		must(t, tc.write(db, r))
		text := lastWords(func() { err = tc.read(db, r) })
		if !strings.Contains(text, "join as a new node") || !strings.Contains(text, "partition 1") {
			t.Errorf("%s: error %v, last words %q", tc.what, err, text)
		}
	}
}
