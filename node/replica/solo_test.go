package replica

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/node/machine"
	"pxkv/persist"
)

// solo is one host, node 2, stepped by hand. It leads some groups alone.
type solo struct {
	t   *testing.T
	db  *persist.DB
	h   *Host
	in  Input
	out Output
	now time.Duration
}

func newSolo(t *testing.T, groups int, limits Limits) *solo {
	t.Helper()
	return newSoloWith(t, groups, Config{Limits: limits})
}

func newSoloWith(t *testing.T, groups int, cfg Config) *solo {
	t.Helper()
	db := openDB(t, vfs.NewMem())
	t.Cleanup(func() { _ = db.Close() })
	cfg.Node, cfg.Incarnation, cfg.DB, cfg.Policy, cfg.Fresh = 2, 1, db, nowhere{}, true
	cfg.Machine = func(kv.PartitionID) StateMachine { return &machine.KV{} }
	h, err := NewHost(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for p := range groups {
		if err := h.Bootstrap(kv.PartitionID(p), kv.ReplicaID(100+p), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.CommitNow(); err != nil {
		t.Fatal(err)
	}
	s := &solo{t: t, db: db, h: h, now: time.Hour}
	for range 20 {
		s.step()
	}
	for _, g := range h.groups.ordered {
		if !g.ready() {
			t.Fatalf("partition %s has no leader", g.p)
		}
	}
	return s
}

// turn takes one turn with what has gathered.
func (s *solo) turn() {
	s.t.Helper()
	s.now += time.Millisecond
	in := s.in
	s.in = Input{}
	var err error
	if s.out, err = s.h.Turn(Now{Boot: s.now, WallMS: 1}, &in); err != nil {
		s.t.Fatal(err)
	}
}

// step takes a turn and commits its job at once.
func (s *solo) step() {
	s.t.Helper()
	s.turn()
	s.commit(s.h.TakeJob())
}

func (s *solo) commit(j *Job) {
	s.t.Helper()
	if j == nil {
		return
	}
	if err := j.Commit(); err != nil {
		s.t.Fatal(err)
	}
	s.in.Finished = append(s.in.Finished, j)
}

// write submits a command and returns where its answer will be.
func (s *solo) write(p kv.PartitionID, c kv.Command) *[]entry.Reply {
	replies := new([]entry.Reply)
	s.in.Ops = append(s.in.Ops, Op{Partition: p, Command: c.AppendTo(nil), Reply: func(r entry.Reply) {
		*replies = append(*replies, r)
	}})
	return replies
}
