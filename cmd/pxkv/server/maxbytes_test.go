package server

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist"
)

func TestBytesOfAStore(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		o            Options
		memory, want int64
	}{
		"on disk":                    {Options{}, 1 << 30, 0},
		"on disk, bounded":           {Options{MaxBytes: 1 << 30}, 1 << 30, 1 << 30},
		"in memory":                  {Options{InMemory: true}, 10 << 30, 3 << 30},
		"in memory, bounded":         {Options{InMemory: true, MaxBytes: 1 << 30}, 10 << 30, 1 << 30},
		"in memory, of which little": {Options{InMemory: true}, 64 << 20, MinMaxBytes},
	} {
		if got := bytesOf(&tc.o, tc.memory); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}

// All files count that are there, and nothing that was removed; what the disk below has counts where it is less.
func TestABoundedFileSystemCountsItsFiles(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	fs := newBounded(mem, "dir", 1000)
	write := func(name string, size int) {
		f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
		if err == nil {
			_, err = f.Write(make([]byte, size))
		}
		if err != nil || f.Close() != nil {
			t.Fatal(err)
		}
	}
	if err := fs.MkdirAll("dir/below", 0o755); err != nil {
		t.Fatal(err)
	}
	expect := func(what string, free, total uint64) {
		t.Helper()
		fs.cost = 0 // count again
		if u, err := fs.GetDiskUsage("dir"); err != nil || u.AvailBytes != free || u.TotalBytes != total ||
			u.UsedBytes != total-free {
			t.Errorf("%s: %+v (%v), want %d of %d free", what, u, err, free, total)
		}
	}
	expect("nothing", 1000, 1000)
	write("dir/a", 300)
	write("dir/below/b", 200)
	write("other", 500)
	expect("two files", 500, 1000)
	write("dir/a", 100)
	expect("a file written anew", 700, 1000)
	if err := fs.Remove("dir/below/b"); err != nil {
		t.Fatal(err)
	}
	expect("a file less", 900, 1000)
	write("dir/below/c", 2000)
	expect("more than there may be", 0, 1000)
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 50, TotalBytes: 400})
	if err := fs.Remove("dir/below/c"); err != nil {
		t.Fatal(err)
	}
	expect("a smaller disk below", 50, 400)
}

// A store in memory knows how much room it has.
func TestAStoreInMemoryHasABound(t *testing.T) {
	t.Parallel()
	db, err := persist.Open(persist.Options{Dir: "pxkv", FS: newBounded(vfs.NewMem(), "pxkv", 256<<20), Light: true})
	if err != nil {
		t.Fatal(err)
	}
	room, err := db.LookForRoom()
	if err != nil || room.Total != 256<<20 || room.Free > room.Total || room.Free < room.Total/2 {
		t.Errorf("room is %+v (%v)", room, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
