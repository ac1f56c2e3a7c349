package persist

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"pxkv/persist/codec"
	"pxkv/persist/disk"
)

func TestIdentity(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	db := openTest(t, fs)
	if id, ok, err := db.Identity(); ok || err != nil || id != (Identity{}) {
		t.Errorf("a fresh directory is %v, %v", id, err)
	}
	want := Identity{
		Format: 2, Node: 0xdeadbeef, Name: "n1", Cluster: 7, ClusterName: "pxkv", Starts: 3, MetaReplica: 2,
	}
	must(t, db.SaveIdentity(want))
	must(t, db.Close())
	db = openTest(t, fs)
	if id, ok, err := db.Identity(); !ok || err != nil || id != want {
		t.Errorf("identity is %v, %v, %v", id, ok, err)
	}
	must(t, db.Close())
}

func TestOpenRefusesForeignIdentities(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		what string
		edit func(string) string
		err  error
		text string
	}{
		{"a newer format", func(s string) string {
			return strings.Replace(s, `"format": 2`, `"format": 3`, 1)
		}, codec.ErrFormat, "run the version that wrote it"},
		{"another node", func(s string) string {
			return strings.Replace(s, "00000000000000ab", "00000000000000ac", 1)
		}, codec.ErrCorrupt, "checksum"},
		{"half a file", func(s string) string { return s[:len(s)/2] }, codec.ErrCorrupt, "identity.json"},
		{"an empty file", func(string) string { return "" }, codec.ErrCorrupt, "identity.json"},
	} {
		fs := vfs.NewMem()
		db := openTest(t, fs)
		must(t, db.SaveIdentity(Identity{Node: 0xab}))
		must(t, db.Close())
		text := readFile(t, fs, "node/identity.json")
		must(t, disk.WriteFile(fs, "node", identityFile, fixed([]byte(tc.edit(string(text))))))
		_, err := Open(Options{Dir: "node", FS: fs, Light: true})
		if !errors.Is(err, tc.err) {
			t.Errorf("%s: %v", tc.what, err)
		}
		wantText(t, err, tc.text)

		alone := vfs.NewMem()
		must(t, alone.MkdirAll("node", 0o755))
		must(t, disk.WriteFile(alone, "node", identityFile, fixed([]byte(tc.edit(string(text))))))
		if _, err := Open(Options{Dir: "node", FS: alone, Light: true}); !errors.Is(err, tc.err) {
			t.Errorf("%s, with nothing beside it: %v", tc.what, err)
		}
		if names, err := alone.List("node"); err != nil || !slices.Equal(names, []string{identityFile}) {
			t.Errorf("%s: a directory that is not ours has %v afterwards, %v", tc.what, names, err)
		}
	}
}

// TestIdentityIsReplacedAtOnce loses power at each file operation of a start and a save.
func TestIdentityIsReplacedAtOnce(t *testing.T) {
	t.Parallel()
	for _, percent := range []int{0, 50, 100} {
		disk := vfs.NewCrashableMem()
		rng := rand.New(rand.NewPCG(1, uint64(percent)))
		saved, saving := 0, 0
		inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
				return nil
			}
			db, err := Open(Options{Dir: "node",
				FS: disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}), Light: true})
			if err != nil {
				t.Fatalf("crash at %s while saving %d: %v", op.Path, saving, err)
			}
			id, ok, err := db.Identity()
			if err != nil || int(id.Starts) < saved || int(id.Starts) > saving || ok != (id.Starts > 0) {
				t.Fatalf("crash at %s: found identity %d (%v), %d is saved, %d is being saved", op.Path, id.Starts, err,
					saved, saving)
			}
			must(t, db.Close())
			return nil
		})
		db := openTest(t, errorfs.Wrap(disk, inject))
		for i := 1; i <= 5; i++ {
			saving = i
			must(t, db.SaveIdentity(Identity{Node: 1, Name: fmt.Sprint("n", i), Starts: uint64(i)}))
			saved = i
		}
		must(t, db.Close())
	}
}

func FuzzParseIdentity(f *testing.F) {
	b, err := Identity{Node: 7}.text(Place{})
	must(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, err := parseIdentity(b); err == nil {
			again, err := id.text(id.Place)
			must(t, err)
			if _, err := parseIdentity(again); err != nil {
				t.Fatal(err)
			}
		}
	})
}
