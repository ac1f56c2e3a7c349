package persist

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist/wal"
)

// Install replaces r's log, data and applied state by the snapshot's, atomically: a crash
// finds all of the old or all of the new. hs is the hard state to have then, with the vote
// that the caller wants to keep; its commit index is raised to the snapshot's. b takes s
// over: Discard then does nothing. A snapshot of another partition is a broken invariant.
//
// What decides is the record in the log. The tables wait beside Pebble, durable, and Pebble
// swaps the partition's range for them once the record is; when a crash comes before that, the
// next Open does it.
func (b *Batch) Install(r *Replica, s *Staged, hs *raftpb.HardState) {
	r.mustLive()
	if s.partition != r.partition {
		panic(fmt.Sprintf("persist: snapshot of partition %s installed into partition %s", s.partition, r.partition))
	}
	if !s.take() {
		panic(fmt.Sprintf("persist: snapshot of partition %s was already installed or discarded", s.partition))
	}
	ap := s.applied
	r.hard = hardState{term: hs.GetTerm(), vote: hs.GetVote(), commit: max(hs.GetCommit(), ap.Index)}
	r.log = newOutline(entryID{ap.Index, ap.Term})
	r.tail = tail{}
	r.setApplied(&ap)
	r.durable, r.created = ap.Index, false
	b.op(opInstall, r.partition, true)
	b.uvarints(s.number)
	b.hardState(r.hard)
	b.entryID(r.log.base)
	id := r.id
	b.before = append(b.before, func() error { return b.db.prepareInstall(s, id) })
	b.after = append(b.after, func() error { return b.db.finishInstall(s) })
}

// prepareInstall puts the applied state into a table of its own beside the staged ones, and
// makes all of them outlive a crash.
func (db *DB) prepareInstall(s *Staged, id kv.ReplicaID) error {
	err := s.writeApplied(id)
	if err == nil {
		err = wal.SyncDir(db.fs, s.dir)
	}
	if err == nil && installInTwoBatches {
		if err = db.ingest(s.partition, s.tables); err == nil {
			db.between()
		}
	}
	return installError(s.partition, db.opts.Dir, err)
}

// finishInstall lets Pebble swap the partition's range for the tables in one edit.
func (db *DB) finishInstall(s *Staged) error {
	if installInTwoBatches {
		return nil
	}
	err := db.replace(s.partition, func() error { return db.ingest(s.partition, s.tables) })
	if err != nil {
		return installError(s.partition, db.opts.Dir, err)
	}
	s.removeFiles()
	return nil
}

// ingest is durable when it returns: with its own WAL off, Pebble writes what it still has in
// memory of the partition to disk first.
func (db *DB) ingest(p kv.PartitionID, tables []string) error {
	start, end := partitionRange(p)
	_, err := db.pebble.IngestAndExcise(context.Background(), tables, nil, nil, pebble.KeyRange{Start: start, End: end})
	return err
}

func installError(p kv.PartitionID, dir string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("install of a snapshot of partition %s failed under %s: %w", p, dir, err)
}

func (db *DB) between() {
	if db.opts.Between != nil {
		db.opts.Between()
	}
}
