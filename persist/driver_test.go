package persist

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist/crypt"
	"pxkv/persist/crypt/crypttest"
	"pxkv/persist/data"
	"pxkv/persist/raftlog"
	"pxkv/persist/state"
)

// driver does random, but legal, things to a store and to a model of it.
type driver struct {
	t       *testing.T
	rng     *rand.Rand
	db      *DB
	fs      *crashFS
	history *history
	view    *model // with the batches that are filled and not committed
	pending []*pendingBatch
	nextID  kv.ReplicaID
	clock   int64
	percent int // of unsynced data that survives a power loss
	chance  int // of a power loss: at one in so many file operations
	reuse   bool
	// segmentBytes are those of a file of the log.
	segmentBytes int64
	keys         func() ([]crypt.Key, error) // nil: not encrypted
	newKey       func()                      // puts another one in front
	watched      *crypttest.Watch

	mortal bool // processes are killed, too
	life   *mortal
	killed crash // how the disk is when life is dead
	tally  *tally
}

// pendingBatch is a filled batch and what it does to the model.
type pendingBatch struct {
	batch *Batch
	steps []func(*model)
	final map[kv.PartitionID]bool // replicas that it installs or destroys
}

const crashPartitions = 4

func newDriver(t *testing.T, seed uint64, percent, chance int) *driver {
	return &driver{
		t: t, chance: chance, percent: percent, rng: rand.New(rand.NewPCG(seed, uint64(percent))), nextID: 1,
		reuse: seed%2 == 1, segmentBytes: 16 << 10,
		tally: new(tally),
	}
}

// begin opens an empty disk.
func (d *driver) begin() *driver {
	d.start(crash{fs: vfs.NewCrashableMem(), before: []*model{newModel()}, keys: d.keys})
	return d
}

// start opens a disk and goes on from what is there. While it opens, another crash may come, and must
// leave the same states as before, until one of them was believed.
func (d *driver) start(cr crash) {
	d.open(cr, d.rng.IntN(4) == 0)
	for d.life.isDead() {
		d.tally.atStart.Add(1)
		d.open(d.end(), d.rng.IntN(4) == 0)
	}
	m := cr.find(d.t, d.db)
	for _, r := range m.replicas {
		m.past.note(r)
	}
	d.history.found(m)
	d.view, d.pending = m.clone(), nil
	if d.mortal && d.rng.IntN(3) > 0 {
		d.life.killIn(1 + d.rng.IntN(400))
	}
}

// open opens a disk, or is killed meanwhile.
func (d *driver) open(cr crash, short bool) {
	d.history = &history{states: append(append([]*model(nil), cr.before...), cr.after...)}
	d.fs = &crashFS{MemFS: cr.fs, history: d.history, keys: d.keys, percent: d.percent,
		rng: rand.New(rand.NewPCG(d.rng.Uint64(), 1)), chance: d.chance}
	fs, history := d.fs, d.history
	d.life = newMortal(d.t, cr.fs, func() {
		fs.stop()
		d.killed = crash{fs: fs.MemFS, before: history.window(), where: "a kill", keys: d.keys}
	})
	if d.mortal && short {
		d.life.killIn(1 + d.rng.IntN(40))
	}
	db, err := Open(Options{Dir: "node", FS: d.watch(errorfs.Wrap(d.life, d.fs)), Light: true, Keys: d.keys,
		Limits: Limits{Log: raftlog.Limits{SegmentBytes: d.segmentBytes}}, ReuseSegments: d.reuse})
	must(d.t, err)
	d.db = db
	d.life.killIn(0)
}

func (d *driver) do(p *pendingBatch, effect func(*model)) {
	p.steps = append(p.steps, effect)
	effect(d.view)
}

// fill makes a batch with a few operations.
func (d *driver) fill() {
	pb := &pendingBatch{batch: d.db.NewBatch(), final: map[kv.PartitionID]bool{}}
	for range 1 + d.rng.IntN(4) {
		p := kv.PartitionID(d.rng.IntN(crashPartitions))
		r := d.replica(p)
		switch roll := d.rng.IntN(100); {
		case r == nil:
			d.create(pb, p)
		case roll < 50:
			d.append(pb, r)
		case roll < 75:
			d.moveCommit(pb, r)
		case roll < 87:
			d.truncate(pb, r)
		case roll < 92:
			d.install(pb, r)
		case roll < 95:
			d.void(pb, r)
		default:
			d.destroy(pb, r)
		}
	}
	d.pending = append(d.pending, pb)
}

func (d *driver) replica(p kv.PartitionID) *raftlog.Replica {
	return d.db.Replica(p)
}

func (d *driver) create(pb *pendingBatch, p kv.PartitionID) {
	if old := d.db.Tombstone(p); old > 0 && pb.batch.Create(p, old, nil) != nil {
		d.t.Fatalf("replica %d of partition %s came back from its tombstone", old, p)
	}
	id := d.nextID
	d.nextID++
	var initial *state.Applied
	ap := state.Applied{Conf: &raftpb.ConfState{}}
	if d.rng.IntN(2) == 0 {
		ap = state.Applied{Index: 1, Term: 1, Conf: &raftpb.ConfState{Voters: []uint64{uint64(id)}}}
		initial = &ap
	}
	if pb.batch.Create(p, id, initial) == nil {
		d.t.Fatalf("replica %d of partition %s not created", id, p)
	}
	d.view.past.note(&modelReplica{id: id, applied: ap, data: map[string]data.Record{}, due: map[string]bool{}})
	d.do(pb, func(m *model) {
		m.replicas[p] = &modelReplica{id: id, hard: hardState{term: ap.Term, commit: ap.Index},
			base: entryID{ap.Index, ap.Term}, applied: ap, data: map[string]data.Record{}, due: map[string]bool{}}
	})
}

func (d *driver) append(pb *pendingBatch, r *raftlog.Replica) {
	p, v := r.Partition(), d.view.replicas[r.Partition()]
	first := v.last() + 1
	if open := v.last() - v.hard.commit; open > 0 && d.rng.IntN(4) == 0 {
		first -= d.rng.Uint64N(open + 1) // overwrite, but never what is committed
	}
	hard := v.hard
	if first <= v.last() || d.rng.IntN(5) == 0 {
		hard.term, hard.vote = hard.term+1, d.rng.Uint64N(3)
	}
	hard.term = max(hard.term, 1)
	var es []*raftpb.Entry
	for i := range 1 + d.rng.Uint64N(5) {
		size := d.rng.IntN(200)
		if d.rng.IntN(10) == 0 {
			size = d.rng.IntN(60 << 10) // fills the tail cache
		}
		es = append(es, entry(first+i, hard.term, fmt.Sprint(d.rng.Uint64())+strings.Repeat("x", size)))
	}
	pb.batch.SetHardState(r, raftHardState(hard))
	pb.batch.Append(r, es)
	d.do(pb, func(m *model) {
		m.replicas[p].hard = hard
		m.replicas[p].append(es)
	})
}

func (d *driver) moveCommit(pb *pendingBatch, r *raftlog.Replica) {
	p, v := r.Partition(), d.view.replicas[r.Partition()]
	hard := v.hard
	hard.commit += d.rng.Uint64N(v.last() - hard.commit + 1)
	pb.batch.SetHardState(r, raftHardState(hard))
	d.do(pb, func(m *model) { m.replicas[p].hard = hard })
}

func (d *driver) truncate(pb *pendingBatch, r *raftlog.Replica) {
	p, applied := r.Partition(), r.Applied().Index
	if err := pb.batch.Truncate(r, applied+1); err == nil {
		d.t.Fatalf("partition %s was truncated above applied", p)
	}
	base := baseOf(r)
	index := base + d.rng.Uint64N(applied-base+1)
	must(d.t, pb.batch.Truncate(r, index))
	index = min(index, max(r.Durable(), base)) // what is not durable stays
	if r.Durable() > applied || baseOf(r) != index {
		d.t.Fatalf("partition %s begins at %d, durable is %d of %d", p, baseOf(r), r.Durable(), applied)
	}
	d.do(pb, func(m *model) { m.replicas[p].truncate(index) })
}

func (d *driver) void(pb *pendingBatch, r *raftlog.Replica) {
	pb.batch.Void(r)
	d.do(pb, func(m *model) { m.replicas[r.Partition()].void = true })
}

// install brings a snapshot, from beyond the log or from what of it is not applied; then the log
// behind it may be written again with it. What was pending for the replica comes before it, effects
// included. Its hash is its own: a crash may lose it, and another one of the same index come.
func (d *driver) install(pb *pendingBatch, r *raftlog.Replica) {
	p, v := r.Partition(), d.view.replicas[r.Partition()]
	index, term := v.last()+1+d.rng.Uint64N(10), max(v.hard.term, 1)
	var rest []*raftpb.Entry
	if open := v.last() - v.applied.Index; open > 0 && d.rng.IntN(2) == 0 {
		index = v.applied.Index + 1 + d.rng.Uint64N(open)
		term = v.term(index)
		var err error
		rest, err = r.Entries(index+1, v.last()+1, math.MaxUint64)
		must(d.t, err)
	}
	commit := max(v.hard.commit, index)
	next := &modelReplica{
		id:   v.id,
		hard: hardState{term: max(v.hard.term, 1), vote: v.hard.vote, commit: commit},
		base: entryID{index, term},
		applied: state.Applied{Index: index, Term: term, Revision: v.applied.Revision + 5, Hash: d.rng.Uint64(),
			Conf:     &raftpb.ConfState{Voters: []uint64{9, 10}},
			Replicas: []kv.Replica{{ID: 9, Node: 1}, {ID: 10, Node: 2}}},
		data: map[string]data.Record{},
		due:  map[string]bool{},
	}
	for range d.rng.IntN(40) {
		next.data[fmt.Sprint("key", d.rng.IntN(60))] = d.record()
	}
	for key, rec := range next.data {
		if rec.DeadlineMS > 0 {
			next.due[dueText(rec.DeadlineMS, key)] = true
		}
	}
	staged, err := d.db.StageSnapshot(p, snapshotStream(d.t, p, next))
	must(d.t, err)
	pb.batch.Install(r, staged, raftHardState(hardState{
		term: next.hard.term, vote: v.hard.vote, commit: v.hard.commit,
	}))
	staged.Discard() // too late to do anything
	pb.batch.Append(r, rest)
	next.append(rest)
	pb.final[p] = true
	d.view.past.note(next)
	d.do(pb, func(m *model) {
		m.replicas[p] = (&model{replicas: map[kv.PartitionID]*modelReplica{p: next}}).clone().replicas[p]
	})
}

func (d *driver) destroy(pb *pendingBatch, r *raftlog.Replica) {
	p, id := r.Partition(), r.ID()
	pb.batch.Destroy(r)
	pb.final[p] = true
	d.do(pb, func(m *model) {
		delete(m.replicas, p)
		m.tombstones[p] = id
	})
}

// commit commits the oldest pending batch.
func (d *driver) commit() {
	if len(d.pending) == 0 {
		return
	}
	pb := d.pending[0]
	d.pending = d.pending[1:]
	sync := pb.batch.NeedsSync()
	m := d.history.last().clone()
	for _, effect := range pb.steps {
		effect(m)
	}
	d.history.issue(m)
	must(d.t, pb.batch.Commit())
	if sync {
		d.history.durable()
	}
}

func (d *driver) record() data.Record {
	rec := stringRecord(strings.Repeat("v", d.rng.IntN(300)), d.rng.Uint64N(1000))
	if d.rng.IntN(3) == 0 {
		rec.DeadlineMS = d.rng.Int64N(1 << 40)
	}
	if d.rng.IntN(5) == 0 {
		rec.Value.ContentType = "text/plain"
	}
	return rec
}

// apply applies committed entries of all partitions that are not about to be replaced.
func (d *driver) apply() {
	a, m := d.db.NewApply(), d.history.last().clone()
	for p := range kv.PartitionID(crashPartitions) {
		r, c := d.replica(p), m.replicas[p]
		if r == nil || c == nil || c.id != r.ID() || d.replaced(p) || c.hard.commit <= c.applied.Index {
			continue
		}
		d.clock++
		ap := c.applied
		ap.Index += 1 + d.rng.Uint64N(c.hard.commit-ap.Index)
		ap.Term, ap.TimeMS, ap.Hash, ap.Revision = c.term(ap.Index), d.clock, d.rng.Uint64(), ap.Revision+1
		for range d.rng.IntN(8) {
			key := fmt.Sprint("key", d.rng.IntN(60))
			if d.rng.IntN(4) == 0 {
				a.Delete(p, []byte(key))
				delete(c.data, key)
			} else {
				rec := d.record()
				a.Put(p, []byte(key), rec)
				c.data[key] = rec
				if rec.DeadlineMS > 0 {
					c.due[dueText(rec.DeadlineMS, key)] = true
				}
			}
			rec, ok, err := a.Get(p, []byte(key))
			must(d.t, err)
			if want, there := c.data[key]; ok != there || ok && recordText(key, rec) != recordText(key, want) {
				d.t.Fatalf("partition %s, %s: data.Apply.Get says %v", p, key, rec)
			}
		}
		d.purge(a, p, c)
		a.SetApplied(r, ap)
		c.applied = ap
		m.past.note(c)
		d.view.replicas[p].applied = ap
	}
	d.history.issue(m)
	must(d.t, a.Commit())
}

// purge clears some of the expiry index, as it was before a.
func (d *driver) purge(a *data.Apply, p kv.PartitionID, c *modelReplica) {
	if d.rng.IntN(4) != 0 {
		return
	}
	due, _, err := d.db.Due(p, data.Due{}, d.rng.Int64N(1<<40), d.rng.IntN(5))
	must(d.t, err)
	for _, due := range due {
		a.Forget(p, due)
		delete(c.due, dueText(due.DeadlineMS, string(due.Key)))
	}
}

func (d *driver) replaced(p kv.PartitionID) bool {
	for _, pb := range d.pending {
		if pb.final[p] {
			return true
		}
	}
	return false
}

func (d *driver) compareGets(p kv.PartitionID, c *modelReplica) {
	for i := range 60 {
		key := fmt.Sprint("key", i)
		rec, ok, err := d.db.Get(p, []byte(key))
		must(d.t, err)
		if want, there := c.data[key]; ok != there || ok && recordText(key, rec) != recordText(key, want) {
			d.t.Fatalf("partition %s, %s is %v %v, should be %v %v", p, key, ok, rec, there, want)
		}
	}
}

// compare holds the live store against the model: bookkeeping as filled, data as committed.
func (d *driver) compare() {
	replicas, err := d.db.Replicas()
	must(d.t, err)
	if len(replicas) != len(d.view.replicas) {
		d.t.Fatalf("%d replicas, should be %d", len(replicas), len(d.view.replicas))
	}
	for _, r := range replicas {
		text, err := replicaLogText(r)
		must(d.t, err)
		if want := d.view.replicas[r.Partition()].logText(); text != want {
			d.t.Fatalf("partition %s is\n%s\nshould be\n%s", r.Partition(), text, want)
		}
		c := d.history.last().replicas[r.Partition()]
		if c != nil && d.rng.IntN(4) > 0 {
			d.compareGets(r.Partition(), c) // leaves the write buffer as it is
		} else if c != nil {
			data, err := partitionDataText(d.db, r.Partition())
			must(d.t, err)
			if data != c.dataText() {
				d.t.Fatalf("partition %s has\n%s\nshould have\n%s", r.Partition(), data, c.dataText())
			}
		}
	}
}
