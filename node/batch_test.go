package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/ring"
)

func reading(key string) kv.Command { return kv.Command{Op: kv.OpRead, Key: []byte(key)} }

func incr(key string, n int64) kv.Command {
	return kv.Command{Op: kv.OpIncr, Key: []byte(key), Delta: n}
}

// elsewhere is a key of another partition.
func elsewhere(c *cluster, key string) []byte {
	for i := 0; ; i++ {
		if other := fmt.Append(nil, "elsewhere ", i); ring.PartitionOfKey(other,
			c.partitions) != ring.PartitionOfKey([]byte(key), c.partitions) {
			return other
		}
	}
}

// batch carries out operations that must all have an answer.
func (s *server) batch(cmds ...kv.Command) []kv.Answer {
	s.c.t.Helper()
	answers := s.node.Batch(within(s.c.t, patience), cmds)
	for i, a := range answers {
		if a.Err != nil {
			s.c.t.Fatalf("batch through %s, operation %d: %v", s.name, i, a.Err)
		}
	}
	return answers
}

// value is what a read of a batch found; "" stands for a key that does not exist.
func value(a kv.Answer) string {
	if a.Result.Item == nil {
		return ""
	}
	return string(a.Result.Item.Value.Data)
}

// Whatever is mixed in a batch, each key sees its operations in order, through every node.
func TestBatchesKeepTheOrderOfEachKey(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]func(*cluster){"lease": func(*cluster) {}, "quorum": quorumReads} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, servers := of(t, 3, option)
			rng := rand.New(rand.NewPCG(3, 4))
			model := map[string]string{}
			for round := range 30 {
				s := servers[round%3]
				var cmds []kv.Command
				var want []string
				for i := range 1 + rng.IntN(60) {
					key := fmt.Sprint("key ", rng.IntN(12))
					switch rng.IntN(3) {
					case 0:
						v := fmt.Sprintf("%d.%d", round, i)
						cmds, want = append(cmds, *put(key, v)), append(want, "")
						model[key] = v
					case 1:
						cmds, want = append(cmds, *del(key)), append(want, "")
						delete(model, key)
					default:
						cmds, want = append(cmds, reading(key)), append(want, model[key])
					}
				}
				for i, a := range s.batch(cmds...) {
					if cmds[i].Op == kv.OpRead && value(a) != want[i] {
						t.Fatalf("round %d, operation %d through %s: %q is %q, want %q", round, i, s.name, cmds[i].Key,
							value(a), want[i])
					}
					if a.Result.Receipt.Node == "" || a.Result.Receipt.Index == 0 {
						t.Fatalf("operation %d has receipt %+v", i, a.Result.Receipt)
					}
				}
			}
			for key, v := range model {
				if got := servers[0].get(key); got != v {
					t.Errorf("%q is %q, want %q", key, got, v)
				}
			}
		})
	}
}

func TestABatchIsOneEntryAPartition(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 2)
	s := servers[0]
	var cmds []kv.Command
	touched := map[kv.PartitionID]uint64{}
	for i := range 200 {
		key := fmt.Sprint("k", i)
		cmds = append(cmds, *put(key, "v"), incr("n"+key, 2))
	}
	for i, a := range s.batch(cmds...) {
		p := ring.PartitionOfKey(cmds[i].Key, c.partitions)
		if index, ok := touched[p]; ok && index != a.Result.Receipt.Index {
			t.Fatalf("partition %d was written at %d and %d", p, index, a.Result.Receipt.Index)
		}
		touched[p] = a.Result.Receipt.Index
	}
	if len(touched) != c.partitions {
		t.Errorf("%d of %d partitions were written", len(touched), c.partitions)
	}
}

func TestABatchAnswersWhatIsWrongAndDoesTheRest(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 2, func(c *cluster) { c.maxValue = 1000 })
	for _, s := range servers {
		answers := s.node.Batch(within(t, patience), []kv.Command{
			*put("good", "1"),
			*put("", "1"),
			*put("large", strings.Repeat("x", 1001)),
			incr("good", 1),
			{Op: kv.OpAppend, Key: []byte("good"), Value: kv.Value{Data: make([]byte, 1000)}},
			{Op: kv.OpRename, Key: []byte("good"), NewKey: elsewhere(c, "good")},
			reading("good"),
		})
		kinds := []kv.ErrorKind{0, kv.Invalid, kv.TooLarge, 0, 0, kv.Invalid, 0}
		for i, a := range answers {
			var got kv.ErrorKind
			if a.Err != nil {
				got = a.Err.Kind
			}
			if got != kinds[i] {
				t.Errorf("operation %d: %v, want kind %v", i, a.Err, kinds[i])
			}
		}
		if answers[3].Result.Number != 2 || answers[4].Result.Outcome != kv.ValueTooLarge || value(answers[6]) != "2" {
			t.Errorf("%+v", answers)
		}
	}
}

// Long values come in several answers, and no more than a batch may hold.
func TestBatchesOfLongValues(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 2, func(c *cluster) { c.maxValue = 8 << 20 })
	long := strings.Repeat("x", 6<<20)
	const keys = 14
	for i := range keys {
		servers[0].write(put(fmt.Sprint("{tag}", i), long))
	}
	for _, s := range servers {
		var cmds []kv.Command
		for i := range keys {
			cmds = append(cmds, reading(fmt.Sprint("{tag}", i)))
		}
		found, refused := 0, 0
		for i, a := range s.node.Batch(within(t, patience), cmds) {
			switch {
			case a.Err == nil && value(a) == long:
				found++
			case a.Err != nil && a.Err.Kind == kv.TooLarge && a.Later:
				refused++
			default:
				t.Errorf("%s, key %d: %v", s.name, i, a.Err)
			}
		}
		// What was under way when the limit was reached is returned as well.
		if l := s.node.o.Limits; found*len(long) <= l.BatchBytes-len(long) ||
			found*len(long) > l.BatchBytes+l.reads() || found+refused != keys {
			t.Errorf("%s: %d found and %d refused", s.name, found, refused)
		}
	}
}

// Whenever a batch is given up, each of its operations has an ending.
func TestBatchesThatAreGivenUp(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 2, func(c *cluster) { c.maxValue = 8 << 20 })
	var cmds []kv.Command
	for i := range 8 {
		key := fmt.Sprint("{tag}", i)
		servers[0].write(put(key, strings.Repeat("x", 6<<20)))
		cmds = append(cmds, reading(key))
	}
	cmds = append(cmds, incr("{tag}counter", 1))
	full := 0
	for i := range 60 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*2*time.Millisecond)
		if i%2 == 0 {
			var stop context.CancelFunc
			ctx, stop = context.WithCancel(within(t, patience))
			time.AfterFunc(time.Duration(i)*2*time.Millisecond, stop)
		}
		answered := 0
		for j, a := range servers[i%2].node.Batch(ctx, cmds) {
			switch {
			case a.Err == nil && a.Result.Outcome == kv.Done:
				answered++
			case a.Err == nil:
				t.Errorf("operation %d has no ending", j)
			case a.Err.Kind == kv.Unknown && cmds[j].Op == kv.OpRead:
				t.Errorf("read %d ended as %v", j, a.Err)
			}
		}
		if answered == len(cmds) {
			full++
		}
		cancel()
	}
	t.Logf("%d of 60 were answered whole", full)
}

// Counters that many batches count up while leaders change: what was acknowledged is counted, and
// what is neither counted nor unknown is missing.
func TestBatchesUnderLeaderChanges(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 3)
	const workers, rounds, counters = 4, 40, 10
	var mu sync.Mutex
	var done, unknown int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range rounds {
				var cmds []kv.Command
				for i := range counters {
					cmds = append(cmds, incr(fmt.Sprint("counter ", i), 1))
				}
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				answers := servers[w%2].node.Batch(ctx, cmds)
				cancel()
				mu.Lock()
				for _, a := range answers {
					if a.Err == nil {
						done++
					} else if a.Err.Kind == kv.Unknown {
						unknown++
					}
				}
				mu.Unlock()
			}
		})
	}
	servers[2].kill()
	wg.Wait()
	var sum int64
	for i, a := range servers[0].batch(incr("counter 0", 0), incr("counter 1", 0), incr("counter 2", 0),
		incr("counter 3", 0), incr("counter 4", 0),
		incr("counter 5", 0), incr("counter 6", 0), incr("counter 7", 0), incr("counter 8", 0), incr("counter 9", 0)) {
		if a.Result.Outcome != kv.Done {
			t.Errorf("counter %d: %+v", i, a.Result)
		}
		sum += a.Result.Number
	}
	if sum < done || sum > done+unknown {
		t.Errorf("the counters are at %d after %d acknowledged and %d unknown", sum, done, unknown)
	}
	if done == 0 {
		t.Error("nothing was done")
	}
}

func TestTransactThroughEveryNode(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	for i, s := range servers {
		key := fmt.Sprintf("{t%d}a", i)
		other := fmt.Sprintf("{t%d}b", i)
		version := servers[0].write(put(key, "1")).Version
		tx := &kv.Transaction{
			Watches:  []kv.Watch{{Key: []byte(key), Version: version}, {Key: []byte(other)}},
			Commands: []kv.Command{incr(key, 1), *put(other, "x"), reading(key)},
		}
		res, err := s.node.Transact(within(t, patience), tx)
		must(t, err)
		if res.Conflict || len(res.Results) != 3 || string(res.Results[2].Item.Value.Data) != "2" ||
			res.Results[0].Receipt.Index == 0 || res.Receipt.Node == "" {
			t.Errorf("through %s: %+v", s.name, res)
		}
		if res, err = s.node.Transact(within(t, patience), tx); err != nil || !res.Conflict {
			t.Errorf("through %s, with versions of before: %+v, %v", s.name, res, err)
		}
		tx.Commands = append(tx.Commands, reading(string(elsewhere(c, key))))
		_, err = s.node.Transact(within(t, patience), tx)
		wantKind(t, err, kv.Invalid)
	}
}

func TestRenameThroughEveryNode(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	for i, s := range servers {
		from, to := fmt.Sprintf("{r%d}from", i), fmt.Sprintf("{r%d}to", i)
		servers[0].write(put(from, "v"))
		if res := s.write(&kv.Command{Op: kv.OpRename, Key: []byte(from), NewKey: []byte(to)}); res.Outcome != kv.Done {
			t.Errorf("%+v", res)
		}
		if a, b := s.get(from), s.get(to); a != "" || b != "v" {
			t.Errorf("%s reads %q and %q", s.name, a, b)
		}
		_, err := s.node.Write(within(t, patience), &kv.Command{
			Op: kv.OpRename, Key: []byte(to), NewKey: elsewhere(c, to),
		})
		wantKind(t, err, kv.Invalid)
	}
}

func TestCountsOfKeys(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 3)
	for i := range 100 {
		servers[0].write(put(fmt.Sprint("k", i), "v"))
		servers[0].write(put(fmt.Sprint("{tag}", i%7), "v"))
	}
	servers[0].write(expiring("gone", "v", -time.Second))
	for _, s := range servers {
		n, err := s.node.CountKeys(within(t, patience))
		must(t, err)
		inSlot, err := s.node.CountKeysInSlot(within(t, patience), ring.SlotOf([]byte("{tag}")))
		must(t, err)
		if n != 107 || inSlot != 7 {
			t.Errorf("%s counts %d, and %d in the slot", s.name, n, inSlot)
		}
		_, err = s.node.CountKeysInSlot(within(t, patience), ring.Slots)
		wantKind(t, err, kv.Invalid)
	}
}
