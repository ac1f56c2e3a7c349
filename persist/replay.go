package persist

import (
	"fmt"

	"pxkv/node/kv"
)

// replay is what the records of the log say, read one after the other.
type replay struct {
	replicas   map[kv.PartitionID]*replayed
	tombstones map[kv.PartitionID]kv.ReplicaID
	begun      bool // a record has been read
}

// keyValue is a record of Pebble.
type keyValue struct{ key, value []byte }

func newReplay() *replay {
	return &replay{replicas: map[kv.PartitionID]*replayed{}, tombstones: map[kv.PartitionID]kv.ReplicaID{}}
}

type replayed struct {
	id      kv.ReplicaID
	hard    hardState
	base    entryID
	entries []replayedEntry // base.index+1 and on
	// What Pebble may still have to do.
	created   *Applied // as it began, if that is in the log
	data      []keyValue
	installed uint64 // directory of the last snapshot installed, 0: none
}

// replayedEntry has record 0 while it is only known that it exists: it lay in a segment that
// is gone, so it was moved, and is found later on.
type replayedEntry struct {
	at   place
	term uint64
}

func (r *replayed) last() uint64 { return r.base.index + uint64(len(r.entries)) }

// record reads one.
func (rp *replay) record(number uint64, payload []byte) error {
	in := readOps(number, payload)
	oldest := !rp.begun
	rp.begun = true
	for {
		kind, p, ok := in.next()
		if !ok {
			return in.end("log record")
		}
		if err := rp.op(in, kind, p, oldest); err != nil {
			return fmt.Errorf("partition %s: %w", p, err)
		}
	}
}

// op reads one operation. Those of the oldest record tell what the log was like when older
// segments were still there; any other that does not fit to what came before is corrupt.
func (rp *replay) op(in *opReader, kind byte, p kv.PartitionID, oldest bool) error {
	switch kind {
	case opCheckpoint:
		tombstones, replicas := in.uvarint(), in.uvarint()
		if !oldest && (tombstones != uint64(len(rp.tombstones)) || replicas != uint64(len(rp.replicas))) {
			in.fail("the checkpoint knows other replicas")
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
		in.fail("there is no such replica")
		return nil
	}
	switch kind {
	case opPut:
		key, value := in.sized(), in.sized()
		r.data = append(r.data, keyValue{appendDataKey(nil, p, key), append([]byte(nil), value...)})
	case opAppend, opMove:
		return r.entry(in, p, kind == opMove)
	case opHardState:
		r.hard = in.hardState()
	case opTruncate:
		r.truncate(in)
	case opInstall:
		r.installed, r.hard, r.base = in.uvarint(), in.hardState(), in.entryID()
		r.entries = nil
	case opDestroy:
		if in.replicaID() != r.id {
			in.fail("another replica is destroyed")
		}
		rp.tombstones[p] = max(rp.tombstones[p], r.id)
		delete(rp.replicas, p)
	}
	return nil
}

func (rp *replay) tombstone(in *opReader, p kv.PartitionID, oldest bool) {
	id := in.replicaID()
	if !oldest && rp.tombstones[p] != id {
		in.fail("the checkpoint has another tombstone")
	}
	rp.tombstones[p] = id
}

func (rp *replay) checkpoint(in *opReader, p kv.PartitionID, oldest bool) {
	r := &replayed{id: in.replicaID(), hard: in.hardState(), base: in.entryID()}
	last := in.uvarint()
	if in.err != nil || last < r.base.index || last-r.base.index > maxLogEntries {
		in.fail("the checkpoint is wrong about a log")
		return
	}
	if oldest {
		r.entries = make([]replayedEntry, last-r.base.index)
		rp.replicas[p] = r
		return
	}
	old := rp.replicas[p]
	if old == nil || old.id != r.id || old.hard.term != r.hard.term || old.hard.vote != r.hard.vote || old.base != r.base || old.last() != last {
		in.fail("the checkpoint knows another replica")
		return
	}
	old.hard.commit = max(old.hard.commit, r.hard.commit) // a start may have raised it
}

// maxLogEntries bounds what a record can make a start allocate.
const maxLogEntries = 1 << 28

func (rp *replay) create(in *opReader, p kv.PartitionID) error {
	id := in.replicaID()
	ap, err := decodeApplied(in.sized())
	if err != nil {
		return err
	}
	if in.err != nil {
		return nil
	}
	if rp.replicas[p] != nil {
		in.fail("a replica is created where one is")
		return nil
	}
	rp.replicas[p] = &replayed{id: id, created: &ap, base: entryID{ap.Index, ap.Term}, hard: hardState{term: ap.Term, commit: ap.Index}}
	return nil
}

// entry takes one in: at the end, over another, which is the end then, or where it was moved.
func (r *replayed) entry(in *opReader, p kv.PartitionID, moved bool) error {
	index, encoded, at := in.entry()
	if in.err != nil {
		return nil
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
		in.fail(fmt.Sprintf("entry %d in a log of %d to %d", index, r.base.index+1, r.last()))
		return nil
	}
	e, i := replayedEntry{at, h.term}, index-r.base.index-1
	if moved {
		r.entries[i] = e
		return nil
	}
	r.entries = append(r.entries[:i], e)
	return nil
}

func (r *replayed) truncate(in *opReader) {
	base := in.entryID()
	if base.index < r.base.index || base.index > r.last() {
		in.fail(fmt.Sprintf("log of %d to %d is truncated up to %d", r.base.index+1, r.last(), base.index))
		return
	}
	r.entries = r.entries[base.index-r.base.index:]
	r.base = base
}
