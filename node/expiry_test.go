package node

import (
	"fmt"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/persist/data"
	"pxkv/ring"
)

func expiring(key, value string, life time.Duration) *kv.Command {
	c := put(key, value)
	c.Expiry = kv.Expiry{Kind: kv.ExpiryIn, MS: life.Milliseconds()}
	return c
}

// A key that has expired for one reader has expired for all, from then on, and under the next
// leaders as well.
func TestExpiredKeysAreGoneEverywhereAtOnce(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 3)
	const life = 400 * time.Millisecond
	written := map[string]kv.Result{}
	began := time.Now()
	for i := range 8 {
		key := fmt.Sprint("mortal ", i)
		written[key] = servers[i%3].write(expiring(key, "v", life))
		servers[0].write(put(fmt.Sprint("immortal ", i), "v"))
	}
	for key, res := range written {
		if res.Deadline == 0 {
			t.Errorf("%s has no deadline: %+v", key, res)
		}
		for i := 0; ; i++ {
			r, err := servers[i%3].node.Read(within(t, patience), []byte(key), kv.ReadOptions{})
			must(t, err)
			if r.Found {
				if r.Item.Deadline != res.Deadline || r.NowMS == 0 || r.NowMS > res.Deadline+1000 {
					t.Fatalf("%s: deadline %d, now %d, want deadline %d", key, r.Item.Deadline, r.NowMS, res.Deadline)
				}
				continue
			}
			// A leader that had heard an old word of the time catches up at 9 in 8; clocks tell whole milliseconds.
			if age := time.Since(began); age < life*8/9-2*time.Millisecond {
				t.Errorf("%s is gone after %v", key, age)
			}
			break
		}
		for _, s := range servers {
			if got := s.get(key); got != "" {
				t.Errorf("%s finds %q again", s.name, key)
			}
		}
	}
	for _, s := range servers {
		for _, it := range s.listed(kv.ListQuery{}) {
			if written[string(it.Key)].Version != 0 {
				t.Errorf("%s lists %q", s.name, it.Key)
			}
		}
	}
	leader, _, _ := holders(t, servers, "mortal 0")
	leader.kill()
	for _, s := range servers {
		if s == leader {
			continue
		}
		for key, res := range written {
			if got := s.get(key); got != "" {
				t.Errorf("under another leader %s finds %q again", s.name, key)
			}
			if again := s.write(put(key, "new")); !again.Created || again.Version <= res.Version {
				t.Errorf("%s after its end: %+v, it was %+v", key, again, res)
			}
			s.write(del(key))
		}
		break
	}
}

func TestConditionsSeeExpiredKeysAsAbsent(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 1)
	s := servers[0]
	res := s.write(expiring("k", "v", 100*time.Millisecond))
	deadline := time.Now().Add(patience)
	create := put("k", "w")
	create.Cond.Kind = kv.CondAbsent
	for s.write(create).Outcome != kv.Done {
		if time.Now().After(deadline) {
			t.Fatal("the key does not expire")
		}
	}
	update := put("k", "x")
	update.Cond = kv.Condition{Kind: kv.CondVersion, Version: res.Version}
	if got := s.write(update); got.Outcome != kv.ConditionFailed {
		t.Errorf("the version of the former life still holds: %+v", got)
	}
}

// Expired keys are deleted by themselves, and writers to other keys hardly notice.
func TestManyKeysExpireAtOnce(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 1)
	s := servers[0]
	const keys = 3000
	for i := range keys {
		s.write(expiring(fmt.Sprint("k", i), "v", time.Millisecond*time.Duration(1+keys-i)))
	}
	deadline := time.Now().Add(patience)
	for s.counter("pxkv_keys_expired_total") < keys {
		if time.Now().After(deadline) {
			t.Fatalf("%v of %d keys are deleted", s.counter("pxkv_keys_expired_total"), keys)
		}
		if res := s.write(put("other", "v")); res.Outcome != kv.Done {
			t.Fatalf("%+v", res)
		}
	}
	eventually(t, "nothing is left", func() error { // the last are counted in the turn that deletes them, and before
		for p := range s.c.partitions {
			if due, next, err := s.db.Due(kv.PartitionID(p), data.Due{}, 1<<60, 10); err != nil || len(due) > 0 ||
				next.DeadlineMS != 0 {
				return fmt.Errorf("partition %d still has %v, %v, %v", p, due, next, err)
			}
		}
		return nil
	})
}

// Whatever shows or counts keys leaves out those whose deadlines have come, before anything of the
// partition's log, as a purge, says so.
func TestExpiredKeysAreShownNowhere(t *testing.T) {
	t.Parallel()
	const keys, apart = 100, 3 * time.Millisecond
	for name, shown := range map[string]func(s *server) int64{
		"count": func(s *server) int64 {
			n, err := s.node.CountKeys(within(s.c.t, patience))
			must(s.c.t, err)
			return n
		},
		"count of a slot": func(s *server) int64 {
			n, err := s.node.CountKeysInSlot(within(s.c.t, patience), ring.SlotOf([]byte("{t}")))
			must(s.c.t, err)
			return n
		},
		"walk":  func(s *server) int64 { return int64(len(s.walked(10_000, nil))) },
		"list":  func(s *server) int64 { return int64(len(s.listed(kv.ListQuery{KeysOnly: true}))) },
		"batch": func(s *server) int64 { return s.found(keys) },
		"stale list at the leader": func(s *server) int64 {
			return int64(len(s.listed(kv.ListQuery{KeysOnly: true, Consistency: kv.Stale})))
		},
		"stale read at the leader": func(s *server) (n int64) {
			for i := range keys {
				r, err := s.node.Read(within(s.c.t, patience), mortal(i), kv.ReadOptions{Consistency: kv.Stale})
				must(s.c.t, err)
				if r.Found {
					n++
				}
			}
			return n
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, servers := of(t, 1, partitions(2))
			s := servers[0]
			first := time.Now().Add(500 * time.Millisecond)
			var cmds []kv.Command
			for i := range keys {
				c := put(string(mortal(i)), "v")
				c.Expiry = kv.Expiry{Kind: kv.ExpiryAt, MS: first.Add(time.Duration(i) * apart).UnixMilli()}
				cmds = append(cmds, *c)
			}
			for _, a := range s.batch(cmds...) {
				if a.Err != nil {
					t.Fatal(a.Err)
				}
			}
			for {
				// The clock of the node is exact to a millisecond.
				past := int64(max(0, time.Since(first)-2*time.Millisecond)/apart) + 1
				if time.Since(first) < 2*time.Millisecond {
					past = 0
				}
				n := shown(s)
				if most := max(0, keys-past); n > most {
					t.Fatalf("%d of %d keys are shown, and the deadlines of %d had come", n, keys, past)
				}
				if n == 0 {
					break
				}
			}
		})
	}
}

func mortal(i int) []byte { return fmt.Appendf(nil, "{t}%d", i) }

// found reads keys at once and counts those that are there.
func (s *server) found(keys int) (n int64) {
	var cmds []kv.Command
	for i := range keys {
		cmds = append(cmds, kv.Command{Op: kv.OpRead, Key: mortal(i)})
	}
	for _, a := range s.batch(cmds...) {
		if a.Err != nil {
			s.c.t.Fatal(a.Err)
		}
		if a.Result.Outcome == kv.Done {
			n++
		}
	}
	return n
}

// A replica that hears nobody any more keeps its data, and knows what time it is: what it shows to
// stale reads still ends with its deadline.
func TestDeadlinesComeToReplicasThatAreCutOff(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3, partitions(1))
	leader, followers, _ := holders(t, servers, "k")
	f := followers[0]
	res := leader.write(expiring("k", "v", 300*time.Millisecond))
	read := func() kv.ReadResult {
		r, err := f.node.Read(within(t, patience), []byte("k"), kv.ReadOptions{
			Consistency: kv.Stale, MinIndex: res.Receipt.Index,
		})
		must(t, err)
		return r
	}
	read()
	c.net.isolate(f)
	for {
		late := time.Since(time.UnixMilli(res.Deadline))
		r, items := read(), f.listed(kv.ListQuery{Consistency: kv.Stale})
		if late > time.Second && (r.Found || len(items) > 0) {
			t.Fatalf("%v after its deadline the key is still shown: %+v, %v", late, r, items)
		}
		if r.Found && r.NowMS >= res.Deadline {
			t.Fatalf("shown at %d, its deadline is %d", r.NowMS, res.Deadline)
		}
		if !r.Found {
			break
		}
	}
}

// What had expired by the time that its data has is hidden by a follower, whatever its clock says.
func TestStaleReadsHideWhatIsExpiredInTheirState(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 3)
	leader, followers, _ := holders(t, servers, "k")
	leader.write(expiring("k", "v", 50*time.Millisecond))
	deadline := time.Now().Add(patience)
	for leader.get("k") != "" {
		if time.Now().After(deadline) {
			t.Fatal("the key does not expire")
		}
	}
	at, err := leader.node.Read(within(t, patience), []byte("k"), kv.ReadOptions{})
	must(t, err)
	for _, f := range followers {
		r, err := f.node.Read(within(t, patience), []byte("k"), kv.ReadOptions{
			Consistency: kv.Stale, MinIndex: at.Receipt.Index,
		})
		must(t, err)
		if r.Found {
			t.Errorf("%s has a key that had expired at index %d: %+v", f.name, at.Receipt.Index, r)
		}
	}
}
