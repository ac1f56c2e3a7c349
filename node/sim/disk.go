package sim

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// tornBlock is the piece of a file that a power loss keeps or takes as a whole.
const tornBlock = 4 << 10

// crashedDisk is a disk as a power loss leaves it: without what was not synced (0 percent), with
// all of it, as after the end of a process alone (100), or with some blocks of it.
//
// MemFS can do the last by itself, but draws while it ranges over maps; here the same seed must
// give the same disk.
func crashedDisk(fs *vfs.MemFS, percent int, rng *rand.Rand) (*vfs.MemFS, error) {
	if percent == 0 {
		return fs.CrashClone(vfs.CrashCloneCfg{}), nil
	}
	// Even for all it draws, as often as there are files of Pebble's background goroutines.
	all := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(0, 0))})
	if percent == 100 {
		return all, nil
	}
	synced := fs.CrashClone(vfs.CrashCloneCfg{})
	return synced, tear(synced, all, "/", percent, rng)
}

// tear gives the files below dir some blocks of what was not synced. Files of which not even
// the name was synced are left out: those may be of Pebble's background goroutines.
func tear(synced, all *vfs.MemFS, dir string, percent int, rng *rand.Rand) error {
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
			if err := tear(synced, all, path, percent, rng); err != nil {
				return err
			}
			continue
		}
		if err := tearFile(synced, all, path, percent, rng); err != nil {
			return fmt.Errorf("tear %s: %w", path, err)
		}
	}
	return nil
}

func tearFile(synced, all *vfs.MemFS, path string, percent int, rng *rand.Rand) error {
	now, err := content(all, path)
	if err != nil {
		return nil // removed, and that was not synced
	}
	was, err := content(synced, path)
	if err != nil {
		return err
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

func content(fs *vfs.MemFS, path string) ([]byte, error) {
	file, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(file)
	return b, errors.Join(err, file.Close())
}
