package persist

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3/raftpb"
)

// install replaces all that a replica has by a staged snapshot.
type install struct {
	staged  *Staged
	records []keyValue // the bookkeeping after it, sorted
}

// Install replaces r's log, data and applied state by the snapshot's, atomically: a crash
// finds all of the old or all of the new. hs is the hard state to have then, with the vote
// that the caller wants to keep; its commit index is raised to the snapshot's. b takes s
// over: Discard then does nothing. A snapshot of another partition is a broken invariant.
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
	b.steps = append(b.steps, step{sync: true, install: &install{staged: s, records: r.records()}})
}

// commitInstall puts the bookkeeping into a table of its own beside the staged ones, and
// lets Pebble swap the partition's range for all of them in one edit. It is durable when it
// returns.
func (db *DB) commitInstall(in *install) {
	s := in.staged
	err := func() error {
		meta, err := s.writeTable(in.records)
		if err != nil {
			return err
		}
		// Pebble makes the swap durable by its manifest, when nothing in memory overlaps,
		// else through the WAL. Whatever was committed before must not be less durable.
		if err := db.pebble.LogData(nil, pebble.Sync); err != nil {
			return err
		}
		start, end := partitionRange(s.partition)
		span := pebble.KeyRange{Start: start, End: end}
		if installInTwoBatches {
			if err := db.ingest(s.tables, span); err != nil {
				return err
			}
			db.between()
			return db.pebble.Ingest(context.Background(), []string{meta})
		}
		return db.ingest(append([]string{meta}, s.tables...), span)
	}()
	if err != nil {
		db.fail("install of a snapshot of partition %s failed under %s: %v", s.partition, db.opts.Dir, err)
	}
	s.removeFiles()
}

func (db *DB) ingest(tables []string, span pebble.KeyRange) error {
	_, err := db.pebble.IngestAndExcise(context.Background(), tables, nil, nil, span)
	return err
}

func (db *DB) between() {
	if db.opts.Between != nil {
		db.opts.Between()
	}
}
