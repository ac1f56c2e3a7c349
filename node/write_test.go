package node

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pxkv/node/kv"
	"pxkv/node/rpc"
	"pxkv/ring"
)

func TestWritesThroughEveryNode(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 4)
	for i := range 40 {
		key := fmt.Sprintf("key %d", i)
		p := ring.PartitionOfKey([]byte(key), c.partitions)
		var last kv.Result
		for turn, s := range servers {
			res := s.write(put(key, s.name))
			if res.Outcome != kv.Done || res.Created != (turn == 0) || res.Version <= last.Version ||
				res.Receipt.Partition != p || res.Receipt.Index <= last.Receipt.Index {
				t.Fatalf("put of %q through %s: %+v after %+v", key, s.name, res, last)
			}
			if o := s.node.Owner([]byte(key)); !slices.ContainsFunc(o.Wanted, func(r kv.PlacedView) bool {
				return r.Node == res.Receipt.Node
			}) {
				t.Fatalf("put of %q was answered by %s, which does not hold it: %+v", key, res.Receipt.Node, o)
			}
			last = res
			for _, o := range servers {
				if got := o.get(key); got != s.name {
					t.Fatalf("%s reads %q at %q after %s wrote", o.name, got, key, s.name)
				}
			}
		}
		through := servers[i%len(servers)]
		if res := through.write(del(key)); res.Outcome != kv.Done || res.Version != 0 {
			t.Fatalf("delete: %+v", res)
		}
		if res := through.write(del(key)); res.Outcome != kv.NotFound {
			t.Fatalf("second delete: %+v", res)
		}
		if res := servers[0].write(put(key, "again")); !res.Created || res.Version <= last.Version {
			t.Fatalf("put after delete: %+v, the last version was %d", res, last.Version)
		}
	}
}

func TestConditionsAreDecidedWhereverTheyAreAsked(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 2)
	for _, s := range servers {
		for _, o := range servers {
			key := s.name + " asks for a key that is led by " + o.name + " or not"
			conditional := func(c *kv.Command, kind kv.CondKind, version uint64) kv.Result {
				c.Cond = kv.Condition{Kind: kind, Version: version}
				return s.write(c)
			}
			expect := func(what string, res kv.Result, outcome kv.Outcome, version uint64) {
				t.Helper()
				if res.Outcome != outcome || res.Version != version || res.Receipt.Index == 0 {
					t.Errorf("%s through %s: %+v, want outcome %d, version %d", what, s.name, res, outcome, version)
				}
			}
			expect("present, of nothing", conditional(put(key, "1"), kv.CondPresent, 0), kv.ConditionFailed, 0)
			expect("version, of nothing", conditional(put(key, "1"), kv.CondVersion, 1), kv.ConditionFailed, 0)
			first := conditional(put(key, "1"), kv.CondAbsent, 0)
			if first.Outcome != kv.Done || !first.Created {
				t.Errorf("create: %+v", first)
			}
			expect("absent, of something", conditional(put(key, "2"), kv.CondAbsent, 0), kv.ConditionFailed,
				first.Version)
			expect("another version", conditional(put(key, "2"), kv.CondVersion, first.Version+1), kv.ConditionFailed,
				first.Version)
			second := conditional(put(key, "2"), kv.CondVersion, first.Version)
			if second.Outcome != kv.Done || second.Created || second.Version <= first.Version {
				t.Errorf("put at a version: %+v", second)
			}
			expect("delete of an old version", conditional(del(key), kv.CondVersion, first.Version), kv.ConditionFailed,
				second.Version)
			if got := o.get(key); got != "2" {
				t.Errorf("%s reads %q", o.name, got)
			}
			expect("delete", conditional(del(key), kv.CondVersion, second.Version), kv.Done, 0)
			expect("delete if present", conditional(del(key), kv.CondPresent, 0), kv.ConditionFailed, 0)
		}
	}
}

func TestOneOfManyCreatesWins(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 3)
	for i := range 10 {
		key := fmt.Sprint("contended ", i)
		results := make([]kv.Result, 12)
		var wg sync.WaitGroup
		for w := range results {
			wg.Go(func() {
				s := servers[w%len(servers)]
				var err error
				if results[w], err = s.node.Write(within(t, patience), create(key, fmt.Sprint(w))); err != nil {
					t.Errorf("create through %s: %v", s.name, err)
				}
			})
		}
		wg.Wait()
		won := slices.IndexFunc(results, func(r kv.Result) bool { return r.Outcome == kv.Done })
		for w, res := range results {
			if w != won && (res.Outcome != kv.ConditionFailed || res.Version != results[won].Version) {
				t.Fatalf("writer %d ended with %+v, the winner %d with %+v", w, res, won, results[won])
			}
		}
		if got := servers[0].get(key); got != fmt.Sprint(won) {
			t.Errorf("read %q, the winner wrote %d", got, won)
		}
	}
}

func TestBlindWritesDoNotAskWhatWasThere(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 2)
	for _, s := range servers {
		cmd := put("blind "+s.name, "v")
		cmd.Blind = true
		if res := s.write(cmd); res.Outcome != kv.Done || res.Created || res.Version == 0 {
			t.Errorf("through %s: %+v", s.name, res)
		}
	}
}

// wrongCommands are refused at every door.
func wrongCommands(maxValue int) map[string]struct {
	cmd  *kv.Command
	kind kv.ErrorKind
} {
	change := func(f func(*kv.Command)) *kv.Command {
		c := put("wrong", "v")
		f(c)
		return c
	}
	return map[string]struct {
		cmd  *kv.Command
		kind kv.ErrorKind
	}{
		"no key": {change(func(c *kv.Command) { c.Key = nil }), kv.Invalid},
		"long key": {change(func(c *kv.Command) {
			c.Key = bytes.Repeat([]byte("k"), kv.MaxKeyBytes+1)
		}), kv.Invalid},
		"unknown operation":  {change(func(c *kv.Command) { c.Op = 99 }), kv.Invalid},
		"no operation":       {change(func(c *kv.Command) { c.Op = 0 }), kv.Invalid},
		"unknown condition":  {change(func(c *kv.Command) { c.Cond.Kind = 99 }), kv.Invalid},
		"rename's condition": {change(func(c *kv.Command) { c.Cond.Kind = kv.CondNewAbsent }), kv.Invalid},
		"unknown expiry":     {change(func(c *kv.Command) { c.Expiry.Kind = 9 }), kv.Invalid},
		"no number":          {change(func(c *kv.Command) { c.Op = kv.OpIncrFloat }), kv.Invalid},
		"negative offset":    {change(func(c *kv.Command) { c.Op, c.Offset = kv.OpSetRange, -1 }), kv.Invalid},
		"no new key":         {change(func(c *kv.Command) { c.Op = kv.OpRename }), kv.Invalid},
		"unknown value kind": {change(func(c *kv.Command) { c.Value.Kind = 4 }), kv.Invalid},
		"no value kind":      {change(func(c *kv.Command) { c.Value.Kind = 0 }), kv.Invalid},
		"long content type": {change(func(c *kv.Command) {
			c.Value.ContentType = strings.Repeat("x", kv.MaxContentTypeBytes+1)
		}), kv.Invalid},
		"value over the limit": {change(func(c *kv.Command) { c.Value.Data = make([]byte, maxValue+1) }), kv.TooLarge},
	}
}

func TestWrongCommandsAreRefusedAndNotWritten(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 2, func(c *cluster) { c.maxValue = 64 << 10 })
	for name, wrong := range wrongCommands(c.maxValue) {
		for _, s := range servers {
			if _, err := s.node.Write(within(t, patience), wrong.cmd); kv.KindOf(err) != wrong.kind {
				t.Errorf("%s through %s: %v", name, s.name, err)
			}
		}
		// What is in the log must be sound, whichever node sent it.
		payload := wrong.cmd.AppendTo([]byte{rpc.Version})
		for _, to := range servers {
			if b, err := ask(t, servers[0], to, reqWrite, payload); err == nil {
				if _, e := rpc.DecodeAnswer(b); e == nil || e.Kind != wrong.kind {
					t.Errorf("%s, sent by a node to %s: %v", name, to.name, e)
				}
			}
		}
	}
	if got := servers[0].get("wrong"); got != "" {
		t.Errorf("a wrong command was carried out: %q", got)
	}
	largest := put("largest", strings.Repeat("x", c.maxValue))
	for _, s := range servers {
		if res := s.write(largest); res.Outcome != kv.Done {
			t.Errorf("a value of the largest size through %s: %+v", s.name, res)
		}
		if got := len(s.get("largest")); got != c.maxValue {
			t.Errorf("%s reads %d bytes", s.name, got)
		}
	}
	for _, key := range [][]byte{nil, bytes.Repeat([]byte("k"), kv.MaxKeyBytes+1)} {
		_, err := servers[0].node.Read(within(t, patience), key, kv.ReadOptions{})
		wantKind(t, err, kv.Invalid)
	}
}

// ask sends a request from one node to another, or to itself, as other software might.
func ask(t *testing.T, from, to *server, kind uint8, payload []byte) ([]byte, error) {
	t.Helper()
	type answer struct {
		b   []byte
		err error
	}
	done := make(chan answer, 2)
	deadline, _ := within(t, patience).Deadline()
	to.node.HandleRequest(from.id(), kind, deadline, payload, func(b []byte, err error) { done <- answer{b, err} })
	select {
	case a := <-done:
		return a.b, a.err
	case <-within(t, patience).Done():
		t.Fatalf("a request of kind %d was not answered", kind)
		return nil, nil
	}
}
