package node

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pxkv/node/kv"
)

// A replica that does not answer, or that lags, is no reason to wait while another one can answer.
func TestAStaleReadDoesNotWaitForOneReplica(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 4)
	leader, followers, others := holders(t, servers, "k")
	outside, answering := others[0], followers[1]
	written := outside.write(put("k", "v"))
	c.net.setJudge(func(r request) fate {
		if r.kind == reqRead && r.to != answering.id() {
			return holdAnswer // as a process does that stands still
		}
		return deliver
	})
	for _, index := range []uint64{0, written.Receipt.Index} {
		res, err := outside.node.Read(within(t, patience), []byte("k"),
			kv.ReadOptions{Consistency: kv.Stale, MinIndex: index})
		must(t, err)
		if res.Receipt.Node != answering.name || res.Receipt.Index < index ||
			index > 0 && string(res.Item.Value.Data) != "v" {
			t.Errorf("from index %d on: %+v", index, res)
		}
	}
	c.net.setJudge(nil)

	// The replica here hears its leader no more, and others have what is asked for.
	lagging := followers[0]
	c.net.cutLink(leader.id(), lagging.id())
	written = leader.write(put("k", "w"))
	res, err := lagging.node.Read(within(t, patience), []byte("k"), kv.ReadOptions{
		Consistency: kv.Stale, MinIndex: written.Receipt.Index,
	})
	must(t, err)
	if string(res.Item.Value.Data) != "w" || res.Receipt.Index < written.Receipt.Index {
		t.Errorf("%+v", res)
	}
	// What nobody has is waited for until the time is over.
	_, err = lagging.node.Read(within(t, 20*c.tick), []byte("k"), kv.ReadOptions{
		Consistency: kv.Stale, MinIndex: 1 << 40,
	})
	wantKind(t, err, kv.Unavailable)
}

// A replica that waits for its first snapshot is no reason to wait for it, wherever a read with an index
// is asked: another one answers, and where none can the client is told to come again.
func TestMinIndexWhereAReplicaHasNothingYet(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 4)
	keys := numbered("k", 100)
	written := map[string]kv.Receipt{}
	for _, key := range keys {
		written[key] = servers[0].write(put(key, key)).Receipt
	}
	c.net.setNoData(true)
	empty := c.joining("e").awaitStart()
	var key string
	var outside *server
	eventually(t, "the new node has a replica without data", func() error {
		for _, k := range keys {
			p := written[k].Partition
			if h := empty.loop.Handle(p); h == nil || h.Applied() > 0 {
				continue
			}
			for _, s := range servers {
				if s.loop.Handle(p) == nil && slices.Contains(s.machine.Nodes(p), empty.id()) {
					key, outside = k, s
					return nil
				}
			}
		}
		return errors.New("it has none")
	})
	read := func(s *server, index uint64, d time.Duration) (kv.ReadResult, error) {
		t.Helper()
		began := time.Now()
		res, err := s.node.Read(within(t, d), []byte(key), kv.ReadOptions{Consistency: kv.Stale, MinIndex: index})
		if took := time.Since(began); took > patience/4 {
			t.Errorf("%s answered after %v", s.name, took)
		}
		return res, err
	}
	index := written[key].Index
	for _, s := range []*server{outside, empty} {
		for range 10 { // whoever is asked first
			res, err := read(s, index, patience)
			must(t, err)
			if string(res.Item.Value.Data) != key || res.Receipt.Index < index || res.Receipt.Node == empty.name {
				t.Fatalf("through %s: %+v", s.name, res)
			}
		}
		_, err := read(s, 1<<40, 10*c.tick) // nobody has it
		wantKind(t, err, kv.Unavailable)
	}
	// Of those that have it none can be asked, or none answers.
	for _, f := range []fate{notSent, holdAnswer} {
		c.net.setJudge(func(r request) fate {
			if r.kind == reqRead && r.to != empty.id() {
				return f
			}
			return deliver
		})
		d := patience
		if f == holdAnswer {
			d = 20 * c.tick
		}
		for _, s := range []*server{outside, empty} {
			_, err := read(s, index, d)
			wantKind(t, err, kv.Unavailable)
		}
	}
	c.net.setJudge(nil)
	c.net.setNoData(false)
	eventually(t, "the new replica answers itself", func() error {
		if res, err := read(empty, index, patience); err != nil || res.Receipt.Node != empty.name {
			return fmt.Errorf("%+v, %v", res, err)
		}
		return nil
	})
}
