package sim

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Disks is what the disks of a run are like.
type Disks struct {
	// RealDisk is the store as it is on a disk: it flushes in the background, and uses the files of
	// the log again.
	RealDisk bool
	// Compacts lets a store compact, in the background.
	Compacts bool
	// KillAtWrite and KillAtStart are how often a crash comes in the middle of what a process
	// writes, and before it has found all that its disk holds.
	KillAtWrite, KillAtStart float64
	// KillAtBegin is how often a crash comes in the middle of the first bytes of a file of the log.
	KillAtBegin float64
	DiskFaults
}

func drawDisks(r *rand.Rand) Disks {
	d := Disks{RealDisk: r.IntN(2) == 0}
	if r.IntN(2) == 0 {
		d.KillAtWrite, d.KillAtStart = r.Float64(), 0.3*r.Float64()
	}
	d.DiskFaults = drawDiskFaults(r)
	return d
}

// tornBlock is the piece of a file that a power loss keeps or takes as a whole.
const tornBlock = 4 << 10

// crashedDisk is a disk as a power loss leaves it: without what was not synced (0 percent), or with
// some blocks of it.
//
// MemFS can do that by itself, but draws while it ranges over maps; here the same seed must give
// the same disk, whatever Pebble's background goroutines have just done to files of theirs.
//
// A background goroutine must not come in between the two looks at the disk, either: what it wrote then
// may rest on a file whose name was not synced at the first one.
func crashedDisk(fs *vfs.MemFS, percent int, seed uint64) (*vfs.MemFS, error) {
	synced := fs.CrashClone(vfs.CrashCloneCfg{})
	if percent == 0 {
		return synced, nil
	}
	for {
		// Even for all it draws, as often as there are files.
		all := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(0, 0))})
		again := fs.CrashClone(vfs.CrashCloneCfg{})
		before, err := outline(synced, "/")
		if err != nil {
			return nil, err
		}
		after, err := outline(again, "/")
		if err != nil {
			return nil, err
		}
		if slices.Equal(before, after) {
			return synced, tear(synced, all, "/", percent, seed)
		}
		synced = again
	}
}

// outline lists all files below dir with their lengths.
func outline(fs *vfs.MemFS, dir string) (files []string, err error) {
	names, err := fs.List(dir)
	slices.Sort(names)
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		info, e := fs.Stat(path)
		switch {
		case e != nil:
			err = errors.Join(err, e)
		case info.IsDir():
			below, e := outline(fs, path)
			files, err = append(files, below...), errors.Join(err, e)
		default:
			files = append(files, fmt.Sprintf("%s %d", path, info.Size()))
		}
	}
	return files, err
}

// tear gives the files below dir some blocks of what was not synced. Files of which not even
// the name was synced are left out: those may be of Pebble's background goroutines.
func tear(synced, all *vfs.MemFS, dir string, percent int, seed uint64) error {
	names, err := synced.List(dir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		path := synced.PathJoin(dir, name)
		info, err := synced.Stat(path)
		if err != nil {
			return err
		}
		if info.IsDir() {
			if err := tear(synced, all, path, percent, seed); err != nil {
				return err
			}
			continue
		}
		if err := tearFile(synced, all, path, percent, seed); err != nil {
			return fmt.Errorf("tear %s: %w", path, err)
		}
	}
	return nil
}

func tearFile(synced, all *vfs.MemFS, path string, percent int, seed uint64) error {
	now, err := content(all, path)
	if err != nil {
		return nil //nolint:nilerr // removed, and that was not synced
	}
	was, err := content(synced, path)
	if err != nil {
		return err
	}
	name := fnv.New64a()
	name.Write([]byte(path))
	rng := rand.New(rand.NewPCG(seed, name.Sum64()))
	if len(now) < len(was) || rewritten(was, now) { // another file has got its name: it has the one or the other
		if rng.IntN(100) >= percent {
			return nil
		}
		return replaceFile(synced, path, now)
	}
	file, err := synced.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	for at := 0; at < len(now); at += tornBlock {
		block := now[at:min(at+tornBlock, len(now))]
		if at+len(block) <= len(was) && string(block) == string(was[at:at+len(block)]) || rng.IntN(100) >= percent {
			continue
		}
		if _, err := file.WriteAt(block, int64(at)); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	return errors.Join(file.Sync(), file.Close())
}

// replaceFile puts another file in the place of one, durably.
func replaceFile(fs *vfs.MemFS, path string, b []byte) error {
	file, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = file.Write(b)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	dir, err := fs.OpenDir(fs.PathDir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func content(fs *vfs.MemFS, path string) ([]byte, error) {
	file, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(file)
	return b, errors.Join(err, file.Close())
}
