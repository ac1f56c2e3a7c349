package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/codec"
	"pxkv/persist/crypt"
	"pxkv/persist/wal"
)

// reuser is a log whose segments are used again, on a disk that may be encrypted.
type reuser struct {
	t   *testing.T
	mem *vfs.MemFS
	key crypt.Key
	// encrypted: what is written below is not what is seen here.
	encrypted bool
}

const reusedDir = "node/log"

func newReuser(t *testing.T, encrypted bool) *reuser {
	t.Helper()
	r := &reuser{t: t, mem: vfs.NewMem(), key: crypt.NewKey(), encrypted: encrypted}
	must(t, r.mem.MkdirAll(reusedDir, 0o755))
	return r
}

// open opens the log as a new process does, and returns its records.
func (r *reuser) open(mem *vfs.MemFS) (*wal.Log, []string, error) {
	var fs vfs.FS = mem
	if r.encrypted {
		encrypting, err := crypt.Open(crypt.Options{
			FS: mem, Dir: "node", Names: []string{"log"}, Keys: []crypt.Key{r.key},
		})
		if err == nil {
			err = encrypting.Begin()
		}
		if err != nil {
			return nil, nil, err
		}
		fs = encrypting
	}
	var all []string
	l, err := wal.Open(wal.Options{
		FS: fs, Dir: reusedDir, SegmentBytes: 512, Reuse: true, Fresh: r.encrypted, Alone: true,
	}, func(_ uint64, payload []byte) error {
		all = append(all, string(payload))
		return nil
	})
	return l, all, err
}

// with is the disk with another content of a file.
func (r *reuser) with(name string, content []byte) *vfs.MemFS {
	r.t.Helper()
	mem := vfs.NewMem()
	must(r.t, mem.MkdirAll(reusedDir, 0o755))
	for _, dir := range []string{"node", reusedDir} {
		names, err := r.mem.List(dir)
		must(r.t, err)
		for _, n := range names {
			if path := dir + "/" + n; path != name && path != reusedDir {
				writeRaw(r.t, mem, path, readFile(r.t, r.mem, path))
			}
		}
	}
	writeRaw(r.t, mem, name, content)
	return mem
}

func writeRaw(t *testing.T, mem *vfs.MemFS, name string, content []byte) {
	t.Helper()
	f, err := mem.Create(name, vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = io.Copy(f, bytes.NewReader(content))
	must(t, errors.Join(err, f.Sync(), f.Close()))
}

func (r *reuser) newest() string {
	r.t.Helper()
	names, err := r.mem.List(reusedDir)
	must(r.t, err)
	names = slices.DeleteFunc(names, func(n string) bool { return len(n) != len("0000000000000001.log") })
	return reusedDir + "/" + slices.Max(names)
}

// A segment that is written over an old one may be torn at every byte of what is written, and none of its records gets
// lost that was whole before: each was acknowledged when it was synced. What is damaged at any one bit is told, or is
// the last record, of which nothing says that it was synced; nothing else is taken for torn.
func TestAReusedSegmentIsTornOrDamagedAtEveryByte(t *testing.T) {
	t.Parallel()
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprintf("encrypted %v", encrypted), func(t *testing.T) {
			t.Parallel()
			r := newReuser(t, encrypted)
			l, _, err := r.open(r.mem)
			must(t, err)
			var want []string
			add := func(roll bool) {
				payload := fmt.Sprintf("%03d %0*d", len(want)+1, 20+len(want)%7, 0)
				must(t, l.Append(append(make([]byte, wal.HeaderLen), payload...), true, roll))
				want = append(want, payload)
			}
			for range 3 {
				for i := range 4 {
					add(i == 0)
				}
			}
			must(t, l.RemoveOldest())
			must(t, l.RemoveOldest())
			want = want[8:]
			former := map[string][]byte{} // what the next segment may be written over
			names, err := r.mem.List(reusedDir)
			must(t, err)
			for _, n := range names {
				former[n] = readFile(t, r.mem, reusedDir+"/"+n)
			}
			add(true)
			newest := r.newest()
			over := []byte(nil)
			for n, content := range former {
				if _, err := r.mem.Stat(reusedDir + "/" + n); err != nil {
					over = content
				}
			}
			if over == nil {
				t.Fatalf("no file was used again: %v", names)
			}
			before, ends := len(want)-1, []int{written(over, readFile(t, r.mem, newest))}
			for range 3 {
				was := readFile(t, r.mem, newest)
				add(false)
				ends = append(ends, written(was, readFile(t, r.mem, newest)))
			}
			content := readFile(t, r.mem, newest)

			from := 0
			if encrypted {
				from = crypt.HeaderBytes // it is whole before the file has its name
			}
			for k := from; k <= ends[3]; k++ {
				torn := append(bytes.Clone(content[:k]), over[min(k, len(over)):]...)
				least := before
				for least < len(want) && k >= ends[least-before] {
					least++
				}
				got, err := r.reopened(r.with(newest, torn))
				if err != nil || len(got) < least || !slices.Equal(got, want[:min(len(got), len(want))]) {
					t.Fatalf("torn at byte %d, with %d records whole: %q, %v", k, least, got, err)
				}
			}
			told, last := 0, 0
			for bit := range 8 * ends[3] {
				damaged := bytes.Clone(content)
				damaged[bit/8] ^= 1 << (bit % 8)
				got, err := r.reopened(r.with(newest, damaged))
				switch {
				case errors.Is(err, wal.ErrCorrupt), errors.Is(err, wal.ErrFormat), errors.Is(err, codec.ErrCorrupt),
					errors.Is(err, codec.ErrFormat):
					told++
				case err != nil:
					t.Fatalf("bit %d: %v", bit, err)
				case slices.Equal(got, want): // nobody reads it
				case slices.Equal(got, want[:len(want)-1]) && bit/8 >= ends[2]-7:
					last++
				default:
					t.Fatalf("bit %d of %d (records end at %v): %q of %q", bit, 8*len(content), ends, got, want)
				}
			}
			if told < 4*ends[2] || last == 0 {
				t.Errorf("damage was told %d times, and was in the last record %d times", told, last)
			}
		})
	}
}

// reopened opens the log, and once more what the first start made of it: both find the same.
func (r *reuser) reopened(mem *vfs.MemFS) ([]string, error) {
	r.t.Helper()
	var first []string
	for i := range 2 {
		l, all, err := r.open(mem)
		if err != nil {
			if i > 0 {
				r.t.Fatalf("what a start left does not start: %v", err)
			}
			return nil, err
		}
		l.Abandon()
		if i > 0 && !slices.Equal(all, first) {
			r.t.Fatalf("the second start found %q, the first %q", all, first)
		}
		first = all
	}
	return first, nil
}

// written is where what was written over a file ends.
func written(before, after []byte) int {
	for n := len(after); n > 0; n-- {
		if n > len(before) || before[n-1] != after[n-1] {
			return n
		}
	}
	return 0
}
