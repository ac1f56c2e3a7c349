package salvage

import (
	"cmp"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/quorum"
	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/node/machine"
	"pxkv/persist/raftlog"
	"pxkv/persist/state"
)

// replica is the copy of a partition in one directory.
type replica struct {
	dir            *directory
	store          *raftlog.Replica
	last, lastTerm uint64
	base           uint64 // the index before its log
	applied        state.Applied
	odd            bool // its leader had another state at an index than this one
}

// partition is what the directories have of one.
type partition struct {
	id   kv.PartitionID
	from *replica // whose state it is; nil: there is none
}

// choose brings each partition to its newest state.
func (s *Salvage) choose(o *Options) error {
	for p := range kv.PartitionID(s.state.Partitions) {
		chosen, err := s.choosePartition(p, o)
		if err != nil {
			return fmt.Errorf("partition %s: %w", p, err)
		}
		s.partitions = append(s.partitions, &partition{p, chosen})
	}
	return nil
}

// choosePartition returns the copy whose state counts, brought up to date; nil when there is none.
func (s *Salvage) choosePartition(p kv.PartitionID, o *Options) (*replica, error) {
	all, err := s.copies(p)
	if err != nil || len(all) == 0 {
		s.report.Missing = append(s.report.Missing, p)
		return nil, err
	}
	voters, err := newestVoters(all)
	if err != nil {
		return nil, err
	}
	majority := won(voters, all, func(r *replica) bool { return !r.dir.stale })
	best, committed := all[0], uint64(0)
	for _, r := range all {
		committed = max(committed, r.store.Committed())
	}
	to := best.last
	if above := best.last - min(committed, best.last); above > 0 {
		switch {
		case majority && !salvageCommittedOnly:
			s.report.Elected += above
		case o.Uncommitted:
			s.report.Taken += above
		default:
			s.report.LeftOut += above
			to = committed
		}
	}
	var usable []*replica
	for _, r := range all {
		if r.store.Void() {
			s.report.Void = append(s.report.Void, Place{p, r.dir.name})
			continue
		}
		usable = append(usable, r)
	}
	chosen, err := s.bring(p, usable, best, to, voters)
	if chosen != nil && !majority {
		s.report.Short = append(s.report.Short, p)
	}
	return chosen, err
}

// copies lists the copies of a partition that have anything, the one with the newest log first.
func (s *Salvage) copies(p kv.PartitionID) (all []*replica, err error) {
	for _, d := range s.dirs {
		store := d.db.Replica(p)
		if store == nil || store.Applied().Index == 0 {
			continue // not here, or waiting for its first snapshot
		}
		r := &replica{dir: d, store: store, applied: store.Applied()}
		r.last, _ = store.LastIndex()
		first, _ := store.FirstIndex()
		r.base = first - 1
		if r.lastTerm, err = store.Term(r.last); err != nil {
			return nil, fmt.Errorf("%s: %w", d.name, err)
		}
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(a, b *replica) int {
		if salvageLongestLog {
			return cmp.Compare(b.last, a.last)
		}
		return cmp.Or(cmp.Compare(b.lastTerm, a.lastTerm), cmp.Compare(b.last, a.last))
	})
	return all, nil
}

// newestVoters are those of the newest configuration that is known to be committed.
func newestVoters(all []*replica) (quorum.JointConfig, error) {
	newest := slices.MaxFunc(all, func(a, b *replica) int {
		return cmp.Compare(a.store.Committed(),
			b.store.Committed())
	})
	return newest.store.Voters()
}

// won reports whether those that count have a majority of the voters, of both halves.
func won(voters quorum.JointConfig, all []*replica, counts func(*replica) bool) bool {
	votes := map[uint64]bool{}
	for _, r := range all {
		if counts(r) {
			votes[uint64(r.store.ID())] = true
		}
	}
	return voters.VoteResult(votes) == quorum.VoteWon
}

// bring applies to each copy what it lacks, as the best log has it, and compares them. It returns one that is right.
func (s *Salvage) bring(p kv.PartitionID, usable []*replica, best *replica, to uint64, voters quorum.JointConfig) (
	*replica, error,
) {
	var there, behind []*replica
	for _, r := range usable {
		reached, err := r.replay(best, to)
		if err == nil && !reached {
			_, err = r.replay(r, r.store.Committed()) // as far as it goes by itself
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.dir.name, err)
		}
		if reached {
			there = append(there, r)
		} else {
			behind = append(behind, r)
		}
	}
	if len(there) == 0 {
		// The best log is that of a void copy, and nobody's state comes up to it.
		if len(behind) == 0 {
			s.report.Missing = append(s.report.Missing, p)
			return nil, nil
		}
		s.report.Behind = append(s.report.Behind, p)
		return slices.MaxFunc(behind, func(a, b *replica) int {
			return cmp.Compare(a.applied.Index,
				b.applied.Index)
		}), nil
	}
	return s.agree(p, there, voters), nil
}

// agree returns a copy that has the state of a majority; of most copies, when none has.
func (s *Salvage) agree(p kv.PartitionID, there []*replica, voters quorum.JointConfig) *replica {
	same := func(as *replica) func(*replica) bool {
		return func(r *replica) bool {
			return !r.odd && r.applied.Index == as.applied.Index && r.applied.Hash == as.applied.Hash
		}
	}
	count := func(as *replica) (n int) {
		for _, r := range there {
			if same(as)(r) {
				n++
			}
		}
		return n
	}
	right := slices.MaxFunc(there, func(a, b *replica) int { return cmp.Compare(count(a), count(b)) })
	if count(right) == len(there) {
		return right
	}
	if !won(voters, there, same(right)) {
		s.report.Differ = append(s.report.Differ, p)
		return right
	}
	for _, r := range there {
		if !same(right)(r) {
			s.report.Wrong = append(s.report.Wrong, Place{p, r.dir.name})
		}
	}
	return right
}

// newMachine makes the state machine of a partition.
func newMachine() *machine.KV { return &machine.KV{} }

// entriesAt returns entries from an index on, to below another: of the best log, and below where that begins of the
// copy's own, which is the same up to there. None means that nobody has them.
func (r *replica) entriesAt(best *replica, from, end uint64) ([]*raftpb.Entry, error) {
	const most = 1 << 20 // bytes
	if from > best.base {
		return best.store.Entries(from, end, most)
	}
	if r.last < best.base {
		return nil, nil
	}
	own, err := r.store.Term(best.base)
	if err != nil {
		return nil, err
	}
	if other, err := best.store.Term(best.base); err != nil || own != other {
		return nil, err
	}
	return r.store.Entries(from, best.base+1, most)
}
