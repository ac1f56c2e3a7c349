package data

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"github.com/cockroachdb/pebble/v2"

	"pxkv/node/kv"
	"pxkv/persist/codec"
	"pxkv/persist/disk"
)

// A snapshot is installed in two steps, around the record of the log that decides: the tables wait beside
// Pebble, durable, and Pebble swaps the partition's range for them once the record is. When a crash comes
// before that, the next start does it.

// Prepare puts the applied state into a table of its own beside the staged ones, and
// makes all of them outlive a crash.
func (s *Staged) Prepare(id kv.ReplicaID) error {
	err := s.writeApplied(id)
	if err == nil {
		err = disk.SyncDir(s.store.disk.FS, s.dir)
	}
	if err == nil && installInTwoBatches {
		if err = s.store.ingest(s.partition, s.tables); err == nil {
			s.store.between()
		}
	}
	return s.store.installError(s.partition, err)
}

// Install lets Pebble swap the partition's range for the tables in one edit.
func (s *Staged) Install() error {
	if installInTwoBatches {
		return nil
	}
	err := s.store.replace(s.partition, func() error { return s.store.ingest(s.partition, s.tables) })
	if err != nil {
		return s.store.installError(s.partition, err)
	}
	s.removeFiles()
	return nil
}

// InstallAgain installs the snapshot that was staged under a number, and says what is there then.
func (s Opening) InstallAgain(p kv.PartitionID, number uint64) (*Stored, error) {
	dir := s.stagedDir(number)
	names, err := s.disk.FS.List(dir)
	if err != nil {
		return nil, fmt.Errorf("partition %s: the snapshot to install: %w", p, err)
	}
	slices.Sort(names)
	tables := make([]string, 0, len(names))
	for _, name := range names {
		tables = append(tables, s.disk.FS.PathJoin(dir, name))
	}
	if err := s.ingest(p, tables); err != nil {
		return nil, s.installError(p, err)
	}
	value, ok, err := s.getCopy(kindKey(p, kindApplied))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("partition %s: %w: the snapshot to install has no applied state", p, codec.ErrCorrupt)
	}
	found := new(Stored)
	found.ID, found.Applied, err = decodeLabel(value)
	return found, err
}

// RemoveStaged removes, at a start, what is left of incoming snapshots. Whatever else lies there is not ours.
func (s *Store) RemoveStaged() error {
	dir := s.disk.Path(StagingDir)
	names, err := s.disk.FS.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	foreign := false
	for _, name := range names {
		number, err := strconv.ParseUint(name, 10, 64)
		if err != nil || s.stagedDir(number) != s.disk.Path(StagingDir, name) {
			foreign = true
			continue
		}
		if err := s.disk.FS.RemoveAll(s.stagedDir(number)); err != nil {
			return err
		}
	}
	if foreign {
		return nil
	}
	return s.disk.FS.RemoveAll(dir)
}

// ingest is durable when it returns: with its own WAL off, Pebble writes what it still has in
// memory of the partition to disk first.
func (s *Store) ingest(p kv.PartitionID, tables []string) error {
	s.finishBackground()
	start, end := partitionRange(p)
	_, err := s.pebble.IngestAndExcise(context.Background(), tables, nil, nil, pebble.KeyRange{Start: start, End: end})
	return err
}

func (s *Store) installError(p kv.PartitionID, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("install of a snapshot of partition %s failed under %s: %w", p, s.disk.Dir, err)
}

func (s *Store) between() {
	if s.o.Between != nil {
		s.o.Between()
	}
}
