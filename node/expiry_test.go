package node

import (
	"fmt"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/persist"
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
			if age := time.Since(began); age < life-2*time.Millisecond { // clocks tell whole milliseconds
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
	for p := range s.c.partitions {
		if due, next, err := s.db.Due(kv.PartitionID(p), persist.Due{}, 1<<60, 10); err != nil || len(due) > 0 || next.DeadlineMS != 0 {
			t.Errorf("partition %d still has %v, %v, %v", p, due, next, err)
		}
	}
}

// Reads of a follower's own data go by the time that its data has.
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
		r, err := f.node.Read(within(t, patience), []byte("k"), kv.ReadOptions{Consistency: kv.Stale, MinIndex: at.Receipt.Index})
		must(t, err)
		if r.Found {
			t.Errorf("%s has a key that had expired at index %d: %+v", f.name, at.Receipt.Index, r)
		}
	}
}
