package persist

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/persist/codec"
	"pxkv/persist/data"
	"pxkv/persist/disk"
	"pxkv/persist/state"
)

func TestDestroyLeavesNothing(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	for _, p := range []kv.PartitionID{6, 7, 8, kv.Meta} {
		r := bootstrap(t, db, p, 1)
		appendAll(t, db, r, entries(2, 20, 1))
		applyTo(t, db, r, 20)
	}
	replicas, err := db.Replicas()
	must(t, err)
	b := db.NewBatch()
	b.Destroy(replicas[1])
	b.Destroy(replicas[3])
	must(t, b.Commit())
	for p, want := range map[kv.PartitionID]int{6: 19, 7: 0, 8: 19, kv.Meta: 0} {
		if items, _, err := db.Scan(p, data.Query{KeysOnly: true}); err != nil || len(items) != want {
			t.Errorf("partition %s has %d items, %v", p, len(items), err)
		}
	}
	if _, err := db.NewView(7); !errors.Is(err, data.ErrNoReplica) {
		t.Errorf("view of a destroyed partition: %v", err)
	}
	must(t, db.Close())
}

// A user may name a directory that has other things in it.
func TestWhatIsNotOursStays(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	must(t, openTest(t, fs).Close())
	place := func(names ...string) {
		for _, name := range names {
			must(t, fs.MkdirAll(fs.PathDir(name), 0o755))
			must(t, disk.WriteFile(fs, fs.PathDir(name), fs.PathBase(name), fixed([]byte("mine"))))
		}
	}
	foreign := []string{
		"node/notes", "node/staging/deploy/values", "node/staging/07", "node/log/notes.new", "node/log/7.log",
		"node/log/0000000000000001.log.old", "node/log/7.log.new", "node/log/a.spare", "node/log/x.log",
		"node/rebuild/all", "node/rebuild/01",
	}
	ours := []string{"node/staging/1/0.sst", "node/log/2.spare", "node/log/0000000000000001.log.new"}
	place(foreign...)
	place(ours...)
	db := openTest(t, fs)
	bootstrap(t, db, 1, 1)
	must(t, db.Close())
	must(t, openTest(t, fs).Close())
	for _, name := range foreign {
		if got := readFile(t, fs, name); string(got) != "mine" {
			t.Errorf("%s is %q", name, got)
		}
	}
	for _, name := range ours {
		if _, err := fs.Stat(name); err == nil {
			t.Errorf("%s is left", name)
		}
	}
}

// TestOpenRefusesDataThatTheLogDoesNotExplain writes into Pebble what no pxkv would leave there.
func TestOpenRefusesDataThatTheLogDoesNotExplain(t *testing.T) {
	t.Parallel()
	const p = 3
	partition := func(p, kind byte, rest string) []byte {
		return append([]byte{0x10, 0, 0, 0, p, kind}, rest...)
	}
	for _, tc := range []struct {
		what       string
		key, value []byte
		text       string
	}{
		{"data of a later replica", partition(p, 4, ""), state.Applied{Index: 5, Term: 1}.AppendTo([]byte{1, 9}),
			"data of replica 9, which the log does not know"},
		{"data without a replica", partition(1, 6, "k"), stringRecord("v", 1).AppendTo(nil),
			"partition 1: data is corrupt: the applied state is missing"},
		{"a newer applied state", partition(p, 4, ""), []byte{9}, "unknown format version 9 of applied state"},
		{"a newer database", []byte{1, 1}, []byte{3}, "unknown format version 3 of database"},
		{"an empty applied state", partition(p, 4, ""), nil, "it ends early"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			fs := vfs.NewMem()
			db := openTest(t, fs)
			r := bootstrap(t, db, p, 7)
			appendAll(t, db, r, entries(2, 10, 1))
			must(t, db.Close())
			pdb, err := pebble.Open("node/db", &pebble.Options{FS: fs, FormatMajorVersion: 21, Logger: quiet{}})
			must(t, err)
			must(t, pdb.Set(tc.key, tc.value, pebble.Sync))
			must(t, errors.Join(pdb.Flush(), pdb.Close()))
			for range 2 { // nothing is touched by the first, and the lock is free
				_, err := Open(Options{Dir: "node", FS: fs, Light: true})
				if !errors.Is(err, codec.ErrCorrupt) && !errors.Is(err, codec.ErrFormat) {
					t.Fatalf("error is %v", err)
				}
				wantText(t, err, tc.text)
			}
		})
	}
}

// quiet is a logger of Pebble.
type quiet struct{}

func (quiet) Infof(string, ...any)         {}
func (quiet) Errorf(string, ...any)        {}
func (quiet) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }

// TestSnapshotIsInstalledByTheNextStart loses power between the record that decides and what
// Pebble does with it.
func TestSnapshotIsInstalledByTheNextStart(t *testing.T) {
	t.Parallel()
	for _, made := range []string{"new", "old"} {
		t.Run(fmt.Sprint("a replica that is ", made), func(t *testing.T) {
			t.Parallel()
			from := openTest(t, vfs.NewMem())
			filled(t, from, 3)
			stream := streamOf(t, from, 3)
			want, err := partitionDataText(from, 3)
			must(t, err)
			must(t, from.Close())

			fs := vfs.NewCrashableMem()
			db := openTest(t, fs)
			r := learner(t, db, 3, 44)
			if made == "old" {
				appendAll(t, db, r, entries(1, 9, 1))
				applyTo(t, db, r, 9)
				must(t, db.Flush())
			}
			staged, err := db.StageSnapshot(3, bytes.NewReader(stream))
			must(t, err)
			b := db.NewBatch()
			var disk *vfs.MemFS
			b.After(func() error { disk = fs.CrashClone(vfs.CrashCloneCfg{}); return nil })
			b.Install(r, staged, raftHardState(hardState{term: 3, vote: 44}))
			must(t, b.Commit())

			for range 2 {
				db, err = Open(Options{Dir: "node", FS: disk, Light: true})
				must(t, err)
				got, err := partitionDataText(db, 3)
				must(t, err)
				replicas, err := db.Replicas()
				must(t, err)
				r := replicas[0]
				if hs, _, _ := r.InitialState(); got != want || r.Applied().Index != 50 || baseOf(r) != 50 ||
					hs.GetVote() != 44 || hs.GetCommit() != 50 {
					t.Errorf("applied %d, log begins after %d, hard state %v, data\n%s\nshould be\n%s",
						r.Applied().Index, baseOf(r), hs, got, want)
				}
				disk = disk.CrashClone(vfs.CrashCloneCfg{})
			}
		})
	}
}
