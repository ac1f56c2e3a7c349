package persist

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/disk"
)

// fixed is content that does not depend on its file.
func fixed(b []byte) func(vfs.File) ([]byte, error) {
	return func(vfs.File) ([]byte, error) { return b, nil }
}

// TestACopyOfADirectoryIsSeen copies a real directory in the ways in which people do, and moves it.
func TestACopyOfADirectoryIsSeen(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "node")
	open := func(dir string) Identity {
		t.Helper()
		db, err := Open(Options{Dir: dir, Light: true})
		must(t, err)
		defer db.Close()
		id, _, err := db.Identity()
		must(t, err)
		return id
	}
	db, err := Open(Options{Dir: dir, Light: true})
	must(t, err)
	must(t, db.SaveIdentity(Identity{Node: 7, Starts: 1}))
	must(t, db.SaveIdentity(Identity{Node: 7, Starts: 2, Stopped: true}))
	must(t, db.Close())
	if id := open(dir); id.Moved || !id.Stopped || id.Place.Born == 0 {
		t.Fatalf("where it was: %+v (does this file system tell when files were born?)", id)
	}
	copied := dir + "-copy"
	must(t, os.CopyFS(copied, os.DirFS(dir)))
	if id := open(copied); !id.Moved {
		t.Errorf("a copy: %+v", id)
	}
	renamed := dir + "-renamed"
	must(t, os.Rename(dir, renamed))
	if id := open(renamed); id.Moved {
		t.Errorf("another name is no copy: %+v", id)
	}
	// An old copy written over the newer file leaves its inode and its birth.
	text, err := os.ReadFile(filepath.Join(copied, identityFile))
	must(t, err)
	db, err = Open(Options{Dir: renamed, Light: true})
	must(t, err)
	must(t, db.SaveIdentity(Identity{Node: 7, Starts: 9}))
	must(t, db.Close())
	must(t, os.WriteFile(filepath.Join(renamed, identityFile), text, 0o600))
	if id := open(renamed); !id.Moved {
		t.Errorf("an old copy over a newer file: %+v", id)
	}
}

// TestAFileSystemWithoutBirthsProvesNothing: there a directory is never taken for a copy.
func TestAFileSystemWithoutBirthsProvesNothing(t *testing.T) {
	t.Parallel()
	for name, births := range map[string]func() int64{
		"none":       func() int64 { return 0 },
		"one a look": func() func() int64 { n := int64(0); return func() int64 { n++; return n } }(),
	} {
		fs := vfs.NewMem()
		o := Options{Dir: "node", FS: fs, Light: true, Place: func(vfs.File) Place {
			return Place{Inode: 1, Born: births()}
		}}
		for range 3 {
			db, err := Open(o)
			must(t, err)
			if id, _, err := db.Identity(); err != nil || id.Moved {
				t.Errorf("%s: %+v, %v", name, id, err)
			}
			must(t, db.SaveIdentity(Identity{Node: 7}))
			must(t, db.Close())
		}
	}
}

// TestIdentityOfVersion1IsRead: such a directory has no place, and is believed as it was before.
func TestIdentityOfVersion1IsRead(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	db := openTest(t, fs)
	old := Identity{Format: 1, Node: 0xa1, Name: "n1", Cluster: 0xc1, ClusterName: "pxkv", Starts: 2, MetaReplica: 7}
	b, err := old.text(Place{})
	must(t, err)
	if !strings.Contains(string(b), "204c555c") { // as version 1 wrote it
		t.Errorf("the text of version 1 has become\n%s", b)
	}
	must(t, disk.WriteFile(fs, "node", identityFile, fixed(b))) // what it has written it may overwrite
	if id, known, err := db.Identity(); !known || err != nil || id != old {
		t.Errorf("%+v, %v, %v", id, known, err)
	}
	must(t, db.Close())
}
