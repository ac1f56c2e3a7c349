package disk

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var errSync = errors.New("sync fails")

// unsynced cannot sync one directory.
type unsynced struct {
	vfs.FS
	dir string
}

// OpenDir implements vfs.FS.
func (u unsynced) OpenDir(name string) (vfs.File, error) {
	if name == u.dir {
		return nil, errSync
	}
	return u.FS.OpenDir(name)
}

// A directory that somebody has made, and could not make durable, is made durable by the next one who needs it.
func TestADirectoryThatWasThereOutlivesACrash(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	if err := errors.Join(disk.MkdirAll("data", 0o755), SyncDir(disk, "")); err != nil {
		t.Fatal(err)
	}
	if err := MakeDir(unsynced{disk, "data"}, "data", "data/staging/1"); !errors.Is(err, errSync) {
		t.Fatalf("the sync of data fails: %v", err)
	}
	if err := MakeDir(disk, "data", "data/staging/2"); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.CrashClone(vfs.CrashCloneCfg{}).Stat("data/staging/2"); err != nil {
		t.Errorf("after a power loss: %v", err)
	}
}
