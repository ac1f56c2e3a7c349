package persist

import (
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// unlocked lets a second process in, since the first one is dead and only its memory is left.
type unlocked struct{ vfs.FS }

func (unlocked) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// TestWhatAKilledProcessLeftIsDurableAfterAStart lets a power loss follow the first promise of a
// process that started on what a killed one had written and not synced.
func TestWhatAKilledProcessLeftIsDurableAfterAStart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		left func(t *testing.T, fs *vfs.MemFS)
	}{
		{"nothing", func(*testing.T, *vfs.MemFS) {}},
		{"its directory", func(t *testing.T, fs *vfs.MemFS) { must(t, fs.MkdirAll("node", 0o755)) }},
		{"all directories", func(t *testing.T, fs *vfs.MemFS) {
			must(t, fs.MkdirAll("node/db", 0o755))
			must(t, fs.MkdirAll("node/log", 0o755))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			mem := vfs.NewCrashableMem()
			c.left(t, mem)
			db := openTest(t, unlocked{mem})
			must(t, db.SaveIdentity(Identity{Node: 1, Starts: 2}))
			bootstrap(t, db, 1, 1)
			after := openTest(t, mem.CrashClone(vfs.CrashCloneCfg{}))
			if id, known, err := after.Identity(); err != nil || !known || id.Node != 1 {
				t.Errorf("identity %+v, known %v: %v", id, known, err)
			}
			if rs, err := after.Replicas(); err != nil || len(rs) == 0 || rs[0].ID() != 1 {
				t.Errorf("replicas %v: %v", rs, err)
			}
			must(t, after.Close())
			must(t, db.Close())
		})
	}
}
