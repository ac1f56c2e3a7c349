package persist

import (
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist/data"
	"pxkv/persist/raftlog"
	"pxkv/persist/state"
)

// model is what a store should hold, in the plainest form.
type model struct {
	replicas   map[kv.PartitionID]*modelReplica
	tombstones map[kv.PartitionID]kv.ReplicaID
	past       *past
}

// past is all the states that the data of each replica went through, by the replica's id: a
// crash may take effects, as long as the log brings them again.
type past struct {
	mu      sync.Mutex
	effects map[kv.ReplicaID][]modelEffects
}

type modelEffects struct {
	applied state.Applied
	data    map[string]data.Record
	due     map[string]bool
}

func (p *past) note(r *modelReplica) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.effects[r.id] = append(p.effects[r.id], modelEffects{r.applied, maps.Clone(r.data), maps.Clone(r.due)})
}

// backTo makes r what it is with the effects up to an earlier index of its log, and reports
// whether there was such a state.
func (p *past) backTo(r *modelReplica, found state.Applied) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.effects[r.id] {
		if appliedText(e.applied) == appliedText(found) && found.Index >= r.base.index && found.Index <= r.last() {
			r.applied, r.data, r.due = e.applied, maps.Clone(e.data), maps.Clone(e.due)
			return true
		}
	}
	return false
}

type modelReplica struct {
	id      kv.ReplicaID
	hard    hardState
	base    entryID
	void    bool         // data and applied are not to be believed
	entries []modelEntry // those after base
	applied state.Applied
	data    map[string]data.Record
	due     map[string]bool // the expiry index, as dueText
}

type modelEntry struct {
	term uint64
	data string
}

func newModel() *model {
	return &model{map[kv.PartitionID]*modelReplica{}, map[kv.PartitionID]kv.ReplicaID{},
		&past{effects: map[kv.ReplicaID][]modelEffects{}}}
}

func (m *model) clone() *model {
	c := &model{map[kv.PartitionID]*modelReplica{}, maps.Clone(m.tombstones), m.past}
	for p, r := range m.replicas {
		own := *r
		own.entries, own.data, own.due = slices.Clone(r.entries), maps.Clone(r.data), maps.Clone(r.due)
		c.replicas[p] = &own
	}
	return c
}

func (r *modelReplica) last() uint64 { return r.base.index + uint64(len(r.entries)) }

func (r *modelReplica) term(index uint64) uint64 {
	if index == r.base.index {
		return r.base.term
	}
	return r.entries[index-r.base.index-1].term
}

func (r *modelReplica) append(es []*raftpb.Entry) {
	if len(es) == 0 {
		return
	}
	r.entries = r.entries[:es[0].GetIndex()-r.base.index-1]
	for _, e := range es {
		r.entries = append(r.entries, modelEntry{e.GetTerm(), string(e.GetData())})
	}
}

func (r *modelReplica) truncate(index uint64) {
	if index > r.base.index {
		term := r.term(index)
		r.entries = r.entries[index-r.base.index:]
		r.base = entryID{index, term}
	}
}

// logText tells a replica's log and bookkeeping; the commit index as a restart would raise it.
func (r *modelReplica) logText() string {
	var s strings.Builder
	fmt.Fprintf(&s, "void %v id %d term %d vote %d commit %d base %v applied %s log", r.void, r.id, r.hard.term,
		r.hard.vote, max(r.hard.commit, r.applied.Index), r.base, appliedText(r.applied))
	for _, e := range r.entries {
		fmt.Fprintf(&s, " %s", entryText(e.term, e.data))
	}
	return s.String()
}

func (r *modelReplica) dataText() string {
	var s strings.Builder
	for _, key := range slices.Sorted(maps.Keys(r.data)) {
		fmt.Fprintf(&s, " %s", recordText(key, r.data[key]))
	}
	for _, due := range slices.Sorted(maps.Keys(r.due)) {
		fmt.Fprintf(&s, " %s", due)
	}
	return s.String()
}

func (m *model) text() string {
	var s strings.Builder
	for _, p := range slices.Sorted(maps.Keys(m.replicas)) {
		fmt.Fprintf(&s, "partition %s: %s data%s\n", p, m.replicas[p].logText(), m.replicas[p].dataText())
	}
	return s.String() + tombstonesText(m.tombstones)
}

func appliedText(ap state.Applied) string {
	return fmt.Sprintf("%d/%d rev %d time %d hash %d voters %v replicas %v", ap.Index, ap.Term, ap.Revision, ap.TimeMS,
		ap.Hash, ap.Conf.GetVoters(), ap.Replicas)
}

func entryText(term uint64, data string) string {
	return fmt.Sprintf("%d:%d:%08x", term, len(data), crc32.ChecksumIEEE([]byte(data)))
}

func recordText(key string, rec data.Record) string {
	return fmt.Sprintf("%q=%d:%08x:%s@%d/%d/%d", key, len(rec.Value.Data), crc32.ChecksumIEEE(rec.Value.Data),
		rec.Value.ContentType, rec.Version, rec.ModifiedMS, rec.DeadlineMS)
}

func dueText(deadlineMS int64, key string) string {
	return fmt.Sprintf("due %020d %q", deadlineMS, key)
}

func tombstonesText(tombstones map[kv.PartitionID]kv.ReplicaID) string {
	var s strings.Builder
	for _, p := range slices.Sorted(maps.Keys(tombstones)) {
		fmt.Fprintf(&s, "tombstone of %s: %d\n", p, tombstones[p])
	}
	return s.String()
}

// replicaLogText tells what a Replica says about itself, in the words of modelReplica.
func replicaLogText(r *raftlog.Replica) (string, error) {
	hs, _, err := r.InitialState()
	if err != nil {
		return "", err
	}
	m := modelReplica{
		id: r.ID(), hard: hardState{hs.GetTerm(), hs.GetVote(), hs.GetCommit()}, applied: r.Applied(), void: r.Void(),
	}
	first, _ := r.FirstIndex()
	last, _ := r.LastIndex()
	term, err := r.Term(first - 1)
	if err != nil {
		return "", err
	}
	m.base = entryID{first - 1, term}
	for next := first; next <= last; {
		es, err := r.Entries(next, last+1, 64<<10)
		if err != nil {
			return "", err
		}
		for _, e := range es {
			if e.GetIndex() != next {
				return "", fmt.Errorf("entry %d where %d should be", e.GetIndex(), next)
			}
			if term, err := r.Term(next); err != nil || term != e.GetTerm() {
				return "", fmt.Errorf("term of %d is %d (%v), in the entry %d", next, term, err, e.GetTerm())
			}
			m.entries = append(m.entries, modelEntry{e.GetTerm(), string(e.GetData())})
			next++
		}
	}
	return m.logText(), nil
}

func partitionDataText(db *DB, p kv.PartitionID) (string, error) {
	items, next, err := db.Scan(p, data.Query{})
	if err != nil || next != nil {
		return "", fmt.Errorf("scan: more from %q: %w", next, err)
	}
	due, _, err := db.Due(p, data.Due{}, math.MaxInt64, math.MaxInt)
	if err != nil {
		return "", err
	}
	var s strings.Builder
	for _, it := range items {
		fmt.Fprintf(&s, " %s", recordText(string(it.Key), data.Record{
			Value: it.Value, Version: it.Version, ModifiedMS: it.Modified, DeadlineMS: it.Deadline,
		}))
	}
	for _, d := range due {
		fmt.Fprintf(&s, " %s", dueText(d.DeadlineMS, string(d.Key)))
	}
	return s.String(), nil
}

// storeText tells a store in the words of model.text.
func storeText(db *DB) (string, error) {
	replicas, err := db.Replicas()
	if err != nil {
		return "", err
	}
	var s strings.Builder
	for _, r := range replicas {
		log, err := replicaLogText(r)
		if err != nil {
			return "", fmt.Errorf("partition %s: %w", r.Partition(), err)
		}
		data, err := partitionDataText(db, r.Partition())
		if err != nil {
			return "", fmt.Errorf("partition %s: %w", r.Partition(), err)
		}
		fmt.Fprintf(&s, "partition %s: %s data%s\n", r.Partition(), log, data)
	}
	return s.String() + tombstonesText(tombstonesOf(db)), nil
}
