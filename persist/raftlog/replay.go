package raftlog

import (
	"bytes"
	"fmt"

	"pxkv/node/kv"
	"pxkv/persist/state"
)

// replay is what the batches of the log say, read one after the other.
type replay struct {
	replicas   map[kv.PartitionID]*Recovered
	tombstones map[kv.PartitionID]kv.ReplicaID
	begun      bool // a batch has been read
}

func newReplay() *replay {
	return &replay{replicas: map[kv.PartitionID]*Recovered{}, tombstones: map[kv.PartitionID]kv.ReplicaID{}}
}

// Recovered is what the log says of a replica at a start.
type Recovered struct {
	ID kv.ReplicaID
	// What a crash may have taken from where the effects are kept.
	Created   *state.Applied // as it began, if that is in the log
	Data      []KeyValue     // that it began with
	Installed uint64         // number of the last snapshot installed, 0: none

	hard    hardState
	base    entryID
	entries []recoveredEntry // base.index+1 and on
	void    bool             // the state is not to be believed
}

// KeyValue is data that a replica begins with: see Batch.Put.
type KeyValue struct{ Key, Value []byte }

// Base is the index of the entry before the log's first: it has been applied, or is in a snapshot.
func (r *Recovered) Base() uint64 { return r.base.index }

// recoveredEntry has batch 0 while it is only known that it exists: it lay in a segment that
// is gone, so it was moved, and is found later on.
type recoveredEntry struct {
	at   place
	term uint64
}

func (r *Recovered) last() uint64 { return r.base.index + uint64(len(r.entries)) }

// batch reads one.
func (rp *replay) batch(number uint64, payload []byte) error {
	in := readOps(number, payload)
	oldest := !rp.begun
	rp.begun = true
	for {
		kind, p, ok := in.next()
		if !ok {
			return in.End("batch of the log")
		}
		if err := rp.op(in, kind, p, oldest); err != nil {
			return fmt.Errorf("partition %s: %w", p, err)
		}
	}
}

// op reads one operation. Those of the oldest batch tell what the log was like when older
// segments were still there; any other that does not fit to what came before is corrupt.
func (rp *replay) op(in *opReader, kind byte, p kv.PartitionID, oldest bool) error {
	switch kind {
	case opCheckpoint:
		tombstones, replicas := in.Uvarint(), in.Uvarint()
		if !oldest && (tombstones != uint64(len(rp.tombstones)) || replicas != uint64(len(rp.replicas))) {
			in.Fail("the checkpoint knows other replicas")
		}
		return nil
	case opTombstone:
		rp.tombstone(in, p, oldest)
		return nil
	case opReplica:
		rp.checkpoint(in, p, oldest)
		return nil
	case opCreate:
		return rp.create(in, p)
	}
	r := rp.replicas[p]
	if r == nil {
		in.Fail("there is no such replica")
		return nil
	}
	switch kind {
	case opPut:
		key, value := in.sized(), in.sized()
		r.Data = append(r.Data, KeyValue{bytes.Clone(key), bytes.Clone(value)})
	case opAppend, opMove:
		return r.entry(in, p, kind == opMove)
	case opHardState:
		r.hard = in.hardState()
	case opTruncate:
		r.truncate(in)
	case opInstall:
		r.Installed, r.hard, r.base = in.Uvarint(), in.hardState(), in.entryID()
		r.entries, r.void = nil, false
	case opVoid:
		r.void = true
	case opDestroy:
		if in.replicaID() != r.ID {
			in.Fail("another replica is destroyed")
		}
		rp.tombstones[p] = max(rp.tombstones[p], r.ID)
		delete(rp.replicas, p)
	}
	return nil
}

func (rp *replay) tombstone(in *opReader, p kv.PartitionID, oldest bool) {
	id := in.replicaID()
	if !oldest && rp.tombstones[p] != id {
		in.Fail("the checkpoint has another tombstone")
	}
	rp.tombstones[p] = id
}

func (rp *replay) checkpoint(in *opReader, p kv.PartitionID, oldest bool) {
	r := &Recovered{ID: in.replicaID(), hard: in.hardState(), base: in.entryID()}
	last := in.Uvarint()
	if in.Err != nil || last < r.base.index || last-r.base.index > maxLogEntries {
		in.Fail("the checkpoint is wrong about a log")
		return
	}
	if oldest {
		r.entries = make([]recoveredEntry, last-r.base.index)
		rp.replicas[p] = r
		return
	}
	old := rp.replicas[p]
	if old == nil || old.ID != r.ID || old.hard.term != r.hard.term || old.hard.vote != r.hard.vote ||
		old.base != r.base || old.last() != last {
		in.Fail("the checkpoint knows another replica")
		return
	}
	old.hard.commit = max(old.hard.commit, r.hard.commit) // a start may have raised it
}

// maxLogEntries bounds what a batch can make a start allocate.
const maxLogEntries = 1 << 28

func (rp *replay) create(in *opReader, p kv.PartitionID) error {
	id := in.replicaID()
	ap, err := state.DecodeApplied(in.sized())
	if err != nil {
		return err
	}
	if in.Err != nil {
		return nil //nolint:nilerr // the reader tells it
	}
	if rp.replicas[p] != nil {
		in.Fail("a replica is created where one is")
		return nil
	}
	rp.replicas[p] = &Recovered{
		ID: id, Created: &ap, base: entryID{ap.Index, ap.Term}, hard: hardState{term: ap.Term, commit: ap.Index},
	}
	return nil
}

// entry takes one in: at the end, over another, which is the end then, or where it was moved.
func (r *Recovered) entry(in *opReader, p kv.PartitionID, moved bool) error {
	index, encoded, at := in.entry()
	if in.Err != nil {
		return nil //nolint:nilerr // the reader tells it
	}
	h, err := decodeEntryHeader(p, index, encoded)
	if err != nil {
		return fmt.Errorf("entry %d: %w", index, err)
	}
	end := r.last()
	if !moved {
		end++
	}
	if index <= r.base.index || index > end {
		in.Fail(fmt.Sprintf("entry %d in a log of %d to %d", index, r.base.index+1, r.last()))
		return nil
	}
	e, i := recoveredEntry{at, h.term}, index-r.base.index-1
	if moved {
		r.entries[i] = e
		return nil
	}
	r.entries = append(r.entries[:i], e)
	return nil
}

func (r *Recovered) truncate(in *opReader) {
	base := in.entryID()
	if base.index < r.base.index || base.index > r.last() {
		in.Fail(fmt.Sprintf("log of %d to %d is truncated up to %d", r.base.index+1, r.last(), base.index))
		return
	}
	r.entries = r.entries[base.index-r.base.index:]
	r.base = base
}
