package salvage

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/entry"
	"pxkv/node/machine"
	"pxkv/persist"
	"pxkv/persist/data"
	"pxkv/persist/state"
)

// applyBytes is about how much is applied before it can be read.
const applyBytes = 1 << 20

// replay applies to a copy all entries up to an index, and reports whether it came there. What a snapshot has taken out
// of every log that is here cannot be applied.
func (r *replica) replay(best *replica, to uint64) (reached bool, err error) {
	a := &applying{replica: r, db: r.dir.db, machine: newMachine(), ap: r.applied, hashes: map[uint64]uint64{}}
	a.hashes[a.ap.Index] = a.ap.Hash
	for a.ap.Index < to {
		entries, err := r.entriesAt(best, a.ap.Index+1, to+1)
		if err != nil {
			return false, err
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			if err := a.apply(e); err != nil {
				return false, fmt.Errorf("log entry %d: %w", e.GetIndex(), err)
			}
		}
		if err := a.commit(); err != nil {
			return false, err
		}
	}
	r.applied = a.ap
	return r.applied.Index >= to, nil
}

// applying is a copy to which entries are applied, as node/replica does it.
type applying struct {
	*replica
	db      *persist.DB
	machine *machine.KV
	batch   *data.Apply
	ap      state.Applied
	bytes   int
	hashes  map[uint64]uint64 // the running hash, by index
}

func (a *applying) apply(e *raftpb.Entry) error {
	ap := a.ap
	if e.GetIndex() != ap.Index+1 {
		return fmt.Errorf("it follows on %d", ap.Index)
	}
	if a.batch == nil {
		a.batch = a.db.NewApply()
	}
	ap.Index, ap.Term = e.GetIndex(), e.GetTerm()
	switch {
	case e.GetType() == raftpb.EntryConfChangeV2: // who has a vote says Voters
	case e.GetType() != raftpb.EntryNormal:
		return fmt.Errorf("%w: entry type %v", entry.ErrUnreadable, e.GetType())
	case len(e.GetData()) > 0:
		if err := a.execute(e.GetData(), &ap); err != nil {
			return err
		}
	}
	a.ap = ap
	a.hashes[ap.Index] = ap.Hash
	if a.bytes += len(e.GetData()); a.bytes > applyBytes {
		return a.commit()
	}
	return nil
}

// execute carries out what an entry says. ap is as before it, but for the index and the term.
func (a *applying) execute(text []byte, ap *state.Applied) error {
	payload, err := entry.Decode(text)
	if err != nil {
		return err
	}
	if own, ok := a.hashes[payload.CheckIndex]; ok && payload.CheckHash != 0 && own != payload.CheckHash {
		a.odd = true
	}
	ap.TimeMS = max(ap.TimeMS, payload.TimeMS)
	p := a.store.Partition()
	switch {
	case payload.Barrier:
		return nil
	case payload.PurgeMS != 0:
		if err := a.commit(); err != nil { // a purge begins with nothing that cannot be read yet
			return err
		}
		a.batch = a.db.NewApply()
		_, err := a.machine.Purge(a.batch, p, ap, &payload)
		return err
	}
	out, err := a.machine.Apply(a.batch, p, ap, &payload, false)
	a.bytes += int(out.Touched)
	return err
}

// commit lets what was applied be read.
func (a *applying) commit() error {
	if a.batch == nil {
		return nil
	}
	a.batch.SetApplied(a.store, a.ap)
	err := a.batch.Commit()
	a.batch, a.bytes = nil, 0
	a.machine.Committed()
	return err
}
