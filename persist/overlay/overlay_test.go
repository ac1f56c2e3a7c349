package overlay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// tree tells all that is below a directory, as a file system shows it.
func tree(t *testing.T, f vfs.FS, dir string) string {
	t.Helper()
	names, err := f.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	var all strings.Builder
	for _, name := range names {
		path := f.PathJoin(dir, name)
		info, err := f.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			fmt.Fprintf(&all, "%s/\n%s", name, tree(t, f, path))
			continue
		}
		file, err := f.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(file)
		if err != nil || int64(len(content)) != info.Size() {
			t.Fatalf("%s: %v, of %d bytes %d were read", path, err, info.Size(), len(content))
		}
		file.Close()
		fmt.Fprintf(&all, "%s %d %x\n", name, len(content), content[:min(len(content), 64)])
	}
	return all.String()
}

// Whatever is done to an overlay shows as it would in a directory of its own, and leaves the one below as it was.
func TestAnOverlayIsLikeACopy(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 0))
		below, copied := filepath.Join(t.TempDir(), "d"), filepath.Join(t.TempDir(), "d")
		names := []string{"a", "b", "c", "sub/a", "sub/b", "sub/deep/a", "new/a"}
		for _, name := range names[:6] {
			if rng.IntN(3) == 0 {
				continue
			}
			path := filepath.Join(below, name)
			os.MkdirAll(filepath.Dir(path), 0o755)
			os.WriteFile(path, bytes.Repeat([]byte{byte('A' + rng.IntN(26))}, rng.IntN(100_000)), 0o600)
		}
		os.MkdirAll(below, 0o755)
		if err := os.CopyFS(copied, os.DirFS(below)); err != nil {
			t.Fatal(err)
		}
		before := tree(t, vfs.Default, below)
		over := New()
		both := []struct {
			fs   vfs.FS
			root string
		}{{over, below}, {vfs.Default, copied}}
		for step := range 200 {
			op, one, two := rng.IntN(9), names[rng.IntN(len(names))], names[rng.IntN(len(names))]
			text, at := bytes.Repeat([]byte{byte('a' + rng.IntN(26))}, rng.IntN(70_000)), int64(rng.IntN(90_000))
			var ended [2]error
			for i, f := range both {
				p, q := f.fs.PathJoin(f.root, one), f.fs.PathJoin(f.root, two)
				var file vfs.File
				var err error
				switch op {
				case 0:
					file, err = f.fs.Create(p, "")
				case 1:
					file, err = f.fs.OpenReadWrite(p, "")
				case 2:
					if err = f.fs.Rename(p, q); one == two {
						err = nil
					}
				case 3:
					err = f.fs.Remove(p)
				case 4:
					err = f.fs.RemoveAll(f.fs.PathDir(p))
					if e := f.fs.MkdirAll(f.root, 0o755); e != nil {
						t.Fatal(e)
					}
				case 5:
					err = f.fs.MkdirAll(f.fs.PathDir(p), 0o755)
				case 6:
					if one != two {
						file, err = f.fs.ReuseForWrite(p, q, "")
					}
				case 7:
					err = f.fs.Link(p, q)
				case 8:
					file, err = f.fs.OpenDir(f.fs.PathDir(p))
				}
				if file != nil && err == nil {
					if op != 8 {
						if _, err := file.Write(bytes.Clone(text)); err != nil {
							t.Fatal(err)
						}
					}
					if op == 1 {
						_, err = file.WriteAt(bytes.Clone(text), at)
					}
					err = errors.Join(err, file.Close())
				}
				ended[i] = err
			}
			if (ended[0] == nil) != (ended[1] == nil) {
				t.Fatalf("seed %d, step %d: operation %d on %s and %s: %v, and in a directory of its own %v", seed,
					step, op, one,
					two, ended[0], ended[1])
			}
		}
		if got, want := tree(t, over, below), tree(t, vfs.Default, copied); got != want {
			t.Fatalf("seed %d: it shows\n%s\nand should\n%s", seed, got, want)
		}
		if after := tree(t, vfs.Default, below); after != before {
			t.Fatalf("seed %d: the directory below was changed: it was\n%s\nand is\n%s", seed, before, after)
		}
		if err := over.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What cannot be written to says so, and a file is read as it was when it was opened for writing.
func TestOpenFiles(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte("as it was"), 0o600); err != nil {
		t.Fatal(err)
	}
	over := New()
	defer over.Close()
	if unwrapped := over.Unwrap(); unwrapped != nil {
		t.Error("what is below can be found")
	}
	read, err := over.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	if _, err := read.Write([]byte("x")); err == nil {
		t.Error("a file that was opened for reading is written to")
	}
	w, err := over.OpenReadWrite(name, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteAt([]byte("far"), 100_000); err != nil {
		t.Fatal(err)
	}
	again, err := over.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 200_000)
	if n, err := again.ReadAt(b, 0); n != 100_003 || !errors.Is(err, io.EOF) || string(b[:9]) != "as it was" ||
		string(b[100_000:n]) != "far" || len(bytes.Trim(b[9:100_000], "\x00")) > 0 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := again.Write([]byte("x")); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a file that was opened for reading is written to: %v", err)
	}
	if content, _ := os.ReadFile(name); string(content) != "as it was" {
		t.Errorf("below it is %q", content)
	}
	if _, err := over.Open(name + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// A store is opened and written to, and nothing of that is there.
func TestAStoreInAnOverlay(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "db")
	open := func(f vfs.FS) *pebble.DB {
		t.Helper()
		db, err := pebble.Open(dir, &pebble.Options{FS: f, Logger: quiet{}})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := open(vfs.Default)
	for i := range 1000 {
		db.Set(fmt.Append(nil, i), []byte("below"), pebble.Sync)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before := tree(t, vfs.Default, dir)
	for range 2 {
		over := New()
		db := open(over)
		for i := range 500 {
			db.Set(fmt.Append(nil, i), []byte("above"), pebble.Sync)
		}
		if err := errors.Join(db.Flush(), db.Compact(t.Context(), []byte("0"), []byte("9"), false),
			db.Close()); err != nil {
			t.Fatal(err)
		}
		db = open(over)
		for i, want := range map[int]string{1: "above", 999: "below"} {
			v, closer, err := db.Get(fmt.Append(nil, i))
			if err != nil || string(v) != want {
				t.Errorf("%d is %q, %v", i, v, err)
			} else {
				closer.Close()
			}
		}
		if err := errors.Join(db.Close(), over.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if after := tree(t, vfs.Default, dir); after != before {
		t.Errorf("it was\n%s\nand is\n%s", before, after)
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)              {}
func (quiet) Errorf(string, ...any)             {}
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
