package persist

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// After an fsync that failed, a kernel shows what it did not write and lets the next fsync succeed. So a
// start writes the end of each manifest that it finds once more, and syncs it, before Pebble reads it.
func TestManifestsAreWrittenAgainBeforeTheyAreBelieved(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	db := openTest(t, unlocked{disk})
	bootstrap(t, db, 1, 1)
	must(t, db.Close())
	names, err := disk.List("node/db")
	must(t, err)
	var mu sync.Mutex
	done := map[string][]errorfs.OpKind{} // to each manifest
	watched := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		name := disk.PathBase(op.Path)
		done[name] = append(done[name], op.Kind)
		return nil
	}))
	db = openTest(t, unlocked{watched})
	defer func() { must(t, db.Close()) }()
	mu.Lock()
	defer mu.Unlock()
	found := 0
	for _, name := range names {
		if !strings.HasPrefix(name, "MANIFEST-") {
			continue
		}
		found++
		write, sync := slices.Index(done[name], errorfs.OpFileWriteAt), slices.Index(done[name], errorfs.OpFileSync)
		read := slices.Index(done[name], errorfs.OpFileRead)
		if write < 0 || sync < write || read >= 0 && read < sync {
			t.Errorf("%s: written at %d, synced at %d, read by Pebble at %d: %v", name, write, sync, read, done[name])
		}
	}
	if found == 0 {
		t.Errorf("no manifest in %q", names)
	}
}
