//go:build !planted

package sim

import (
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A file in whose place another one was put is after a power loss the one or the other, also when the
// new one is shorter.
func TestAReplacedFileIsNeverAMixture(t *testing.T) {
	t.Parallel()
	long, short := strings.Repeat("a", 100), "b"
	write := func(fs *vfs.MemFS, name, text string) error {
		f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		_, err = f.Write([]byte(text))
		return errors.Join(err, f.Sync(), f.Close())
	}
	found := map[string]bool{}
	for seed := range uint64(40) {
		fs := vfs.NewCrashableMem()
		err := write(fs, "/file", long)
		dir, openErr := fs.OpenDir("/")
		if err = errors.Join(err, openErr); err == nil {
			err = errors.Join(dir.Sync(), dir.Close(), write(fs, "/file.tmp", short), fs.Rename("/file.tmp", "/file"))
		}
		if err != nil {
			t.Fatal(err)
		}
		after, err := crashedDisk(fs, 50, seed)
		if err != nil {
			t.Fatal(err)
		}
		b, err := content(after, "/file")
		if err != nil || string(b) != long && string(b) != short {
			t.Fatalf("seed %d: the file holds %q, %v", seed, b, err)
		}
		again, err := crashedDisk(after, 0, seed)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := content(again, "/file"); err != nil || string(c) != string(b) {
			t.Fatalf("seed %d: after the next power loss the file holds %q, %v", seed, c, err)
		}
		found[string(b)] = true
	}
	if len(found) != 2 {
		t.Errorf("it was only one of them: %v", found)
	}
}
