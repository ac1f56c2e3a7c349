package data

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/persist/disk"
	"pxkv/persist/state"
)

// Staged is a snapshot that arrived whole: table files beside Pebble, synced, which wait for
// Batch.Install or Discard. A restart removes it.
type Staged struct {
	store     *Store
	partition kv.PartitionID
	applied   state.Applied
	number    uint64 // of its directory
	dir       string
	tables    []string    // paths, with ascending keys
	taken     atomic.Bool // by an install or by Discard
}

// Partition of which it is a snapshot.
func (s *Staged) Partition() kv.PartitionID { return s.partition }

// Number of the directory where it waits: see Opening.InstallAgain.
func (s *Staged) Number() uint64 { return s.number }

// Applied says which state it has.
func (s *Staged) Applied() state.Applied { return s.applied }

// Discard removes it, unless a batch has taken it over.
func (s *Staged) Discard() {
	if s.Take() {
		s.removeFiles()
	}
}

// Take takes it over for an install; false when it was taken or discarded before.
func (s *Staged) Take() bool { return s.taken.CompareAndSwap(false, true) }

func (s *Staged) removeFiles() {
	if err := s.store.disk.FS.RemoveAll(s.dir); err != nil {
		// The next start removes it.
		s.store.disk.Logger.Warn("staged snapshot not removed", "dir", s.dir, "err", err)
	}
}

func (s *Store) newStaged(p kv.PartitionID) (*Staged, error) {
	number := s.staged.Add(1)
	dir := s.stagedDir(number)
	if err := disk.MakeDir(s.disk.FS, s.disk.Path(), dir); err != nil {
		return nil, errors.Join(err, s.disk.FS.RemoveAll(dir))
	}
	return &Staged{store: s, partition: p, number: number, dir: dir}, nil
}

func (s *Store) stagedDir(number uint64) string {
	return s.disk.Path(StagingDir, strconv.FormatUint(number, 10))
}

// newTable begins a table file, which is synced when it is closed.
func (s *Staged) newTable(name string) (string, *sstable.Writer, error) {
	path := s.store.disk.FS.PathJoin(s.dir, name+".sst")
	file, err := s.store.disk.FS.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return "", nil, err
	}
	file = vfs.NewSyncingFile(file, vfs.SyncingFileOptions{BytesPerSync: 512 << 10})
	return path, sstable.NewWriter(objstorageprovider.NewFileWritable(file), s.store.tableOptions()), nil
}

// tableOptions are those of the tables that Pebble writes at the bottom of its tree.
func (s *Store) tableOptions() sstable.WriterOptions {
	po := s.pebbleOptions(nil)
	po.EnsureDefaults()
	return po.MakeWriterOptions(len(po.Levels)-1, pebbleFormat.MaxTableFormat())
}

// writeApplied writes the applied state that belongs to the snapshot, for the replica that it
// is installed into.
func (s *Staged) writeApplied(id kv.ReplicaID) error {
	path, w, err := s.newTable("applied")
	if err != nil {
		return err
	}
	if err := w.Set(kindKey(s.partition, kindApplied), encodeLabel(id, &s.applied)); err != nil {
		_ = w.Close() // the first error tells more
		return err
	}
	s.tables = append([]string{path}, s.tables...)
	return w.Close()
}

// tableWriter spreads a snapshot's items over table files.
type tableWriter struct {
	staged *Staged
	table  *sstable.Writer
	bytes  int    // in the current table
	key    []byte // the last item's, as stored
}

// add writes the next item. What no pxkv would store is refused, so that it is found here
// and not by a read.
func (t *tableWriter) add(key, value []byte) error {
	next := appendDataKey(make([]byte, 0, kindPrefixLen+len(key)), t.staged.partition, key)
	if len(key) == 0 || string(next) <= string(t.key) {
		return fmt.Errorf("%w: key %q is out of order", ErrSnapshotStream, key)
	}
	rec, err := DecodeRecord(value)
	if err != nil {
		return fmt.Errorf("%w: key %q: %w", ErrSnapshotStream, key, err)
	}
	if packedMixedSnapshot && rec.Value.Packing != kv.NotPacked {
		rec.Value.Packing, rec.Value.Plain = kv.NotPacked, 0
		value = rec.AppendTo(nil)
	}
	return t.set(next, value)
}

// set writes a key and value; the key is above all before it.
func (t *tableWriter) set(next, value []byte) error {
	if int64(t.bytes) >= t.staged.store.o.Limits.TableBytes {
		if err := t.finish(); err != nil {
			return err
		}
	}
	if t.table == nil {
		path, w, err := t.staged.newTable(strconv.Itoa(len(t.staged.tables)))
		if err != nil {
			return err
		}
		t.staged.tables = append(t.staged.tables, path)
		t.table, t.bytes = w, 0
	}
	t.key = next
	t.bytes += len(next) + len(value)
	return t.table.Set(next, value)
}

// finish closes and syncs the current table.
func (t *tableWriter) finish() error {
	if t.table == nil {
		return nil
	}
	w := t.table
	t.table, t.bytes = nil, 0
	return w.Close()
}

// abort closes the current table, whose file is about to be removed.
func (t *tableWriter) abort() {
	if t.table != nil {
		_ = t.table.Close() // what it says no longer matters
		t.table = nil
	}
}
