package replica

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/persist/data"
)

// spoil puts a value in a node's store that does not unpack, in the place of one that does, as a fault of its memory
// would.
func (c *trio) spoil(id kv.NodeID, key string) {
	c.t.Helper()
	n, g := c.nodes[id], c.group(id)
	rec, ok, err := n.db.Get(0, []byte(key))
	if err != nil || !ok {
		c.t.Fatal(ok, err)
	}
	rec.Value = kv.Value{Kind: kv.String, Packing: kv.Zstd, Plain: 1000, Data: []byte("damaged")}
	a := n.db.NewApply()
	a.Put(0, []byte(key), rec)
	a.SetApplied(g.store, g.applied)
	if err := a.Commit(); err != nil {
		c.t.Fatal(err)
	}
	if _, _, err := n.db.Get(0, []byte(key)); !errors.Is(err, data.ErrDamagedValue) {
		c.t.Fatalf("the value is damaged, and read: %v", err)
	}
}

// do asks a node to carry out a command; the answer is there when it is decided.
func (c *trio) do(id kv.NodeID, cmd kv.Command) *entry.Reply {
	r := &entry.Reply{Err: kv.Errorf(kv.Internal, "no answer")}
	c.nodes[id].in.Ops = append(c.nodes[id].in.Ops, Op{Command: cmd.AppendTo(nil), Reply: func(got entry.Reply) {
		*r = got
	}})
	c.settle()
	return r
}

// A value that is damaged on some nodes makes their replicas void when an entry needs it, and they are rebuilt from
// one that has it whole, be it alone: no node ends by it, and the entry is carried out.
func TestADamagedValueEndsNoNode(t *testing.T) {
	t.Parallel()
	for _, spoilt := range [][]kv.NodeID{{2}, {1}, {2, 3}, {1, 3}} {
		t.Run(fmt.Sprint(spoilt), func(t *testing.T) {
			t.Parallel()
			c := newTrio(t)
			c.elect()
			c.writes(1, "a")
			for _, id := range spoilt {
				c.spoil(id, "k")
			}
			c.do(1, appending("k", "b"))
			for _, id := range spoilt {
				if n := c.nodes[id].h.stats.Diverged.Load(); n != 1 {
					t.Errorf("node %d was rebuilt %d times", id, n)
				}
			}
			c.alike()
			for id := kv.NodeID(1); id <= 3; id++ {
				if rec, ok, err := c.nodes[id].db.Get(0, []byte("k")); err != nil || !ok ||
					string(rec.Value.Data) != "ab" {
					t.Errorf("node %d has %q, %v, %v", id, rec.Value.Data, ok, err)
				}
			}
			leader := c.leader()
			c.writes(leader, "c")
			if e := c.read(leader); e != nil {
				t.Error(e)
			}
		})
	}
}

// A replica that nobody could rebuild is not given up: its node ends, and says why.
func TestTheOnlyCopyIsNotGivenUpForADamagedValue(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 1, Limits{})
	a := s.db.NewApply()
	a.Put(0, []byte("k"), data.Record{Version: 1, Value: kv.Value{
		Kind: kv.String, Packing: kv.Zlib, Plain: 1000, Data: []byte("damaged"),
	}})
	g := s.h.groups.of[0]
	a.SetApplied(g.store, g.applied)
	if err := a.Commit(); err != nil {
		t.Fatal(err)
	}
	cmd := appending("k", "b")
	s.in.Ops = append(s.in.Ops, Op{Command: cmd.AppendTo(nil), Reply: func(entry.Reply) {}})
	for range 5 {
		s.now += time.Millisecond
		in := s.in
		s.in = Input{}
		if _, err := s.h.Turn(Now{Boot: s.now, WallMS: 1}, &in); err != nil {
			if !errors.Is(err, data.ErrDamagedValue) || g.trust.void {
				t.Errorf("void: %v, %v", g.trust.void, err)
			}
			return
		}
		if j := s.h.TakeJob(); j != nil {
			s.commit(j)
		}
	}
	t.Error("the node goes on with a value that it does not have")
}
