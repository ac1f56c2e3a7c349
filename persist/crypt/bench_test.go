package crypt

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// nowhere keeps nothing: what is measured is the encryption.
type nowhere struct{ vfs.FS }

func (n nowhere) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := n.FS.Create(name, c)
	return thrownAway{f}, err
}

type thrownAway struct{ vfs.File }

func (thrownAway) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkWrite appends to a file that keeps nothing, in pieces as small as a record of the log or as large as a
// block of a table.
func BenchmarkWrite(b *testing.B) {
	each(b, nowhere{vfs.NewMem()}, func(b *testing.B, f vfs.FS, size int) {
		piece := make([]byte, size)
		file, err := f.Create(dir+"/files/a", vfs.WriteCategoryUnspecified)
		must(b, err)
		for b.Loop() {
			_, err := file.Write(piece)
			must(b, err)
		}
		must(b, file.Close())
	})
}

// BenchmarkRead reads pieces of a file in memory.
func BenchmarkRead(b *testing.B) {
	each(b, vfs.NewMem(), func(b *testing.B, f vfs.FS, size int) {
		const length = 4 << 20
		create(b, f, dir+"/files/a", make([]byte, length))
		file, err := f.Open(dir + "/files/a")
		must(b, err)
		piece, at := make([]byte, size), int64(0)
		for b.Loop() {
			_, err := file.ReadAt(piece, at)
			must(b, err)
			if at += int64(size) + 1; at > length-int64(size) {
				at = 0
			}
		}
		must(b, file.Close())
	})
}

func each(b *testing.B, disk vfs.FS, run func(*testing.B, vfs.FS, int)) {
	for _, size := range []int{300, 4 << 10, 32 << 10} {
		for _, encrypted := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d bytes, encrypted %v", size, encrypted), func(b *testing.B) {
				f := disk
				must(b, f.RemoveAll(dir))
				must(b, f.MkdirAll(dir+"/files", 0o755))
				if encrypted {
					f = newFS(b, disk, NewKey())
				}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				run(b, f, size)
			})
		}
	}
}
