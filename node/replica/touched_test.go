package replica

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pxkv/node/kv"
)

func appending(key, data string) kv.Command {
	return kv.Command{Op: kv.OpAppend, Key: []byte(key), Value: kv.Value{Data: []byte(data)}, Limit: 1 << 20}
}

// Heartbeats and leases of all groups wait for a turn, so one ends when it has touched enough bytes of
// values, however short the entries are that make it.
func TestATurnEndsWhenItHasTouchedEnough(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 2, Limits{ApplyBytes: 1 << 10, EntryBytes: 1})
	const length = 100 << 10
	for p := range kv.PartitionID(2) {
		s.write(p, set("k", strings.Repeat("x", length)))
	}
	for range 6 {
		s.step()
	}
	var writes []*[]Reply
	for range 5 {
		for p := range kv.PartitionID(2) {
			writes = append(writes, s.write(p, appending("k", "y"))) // an entry each
		}
	}
	answered := func() (n int) {
		for _, w := range writes {
			n += len(*w)
		}
		return n
	}
	turns := 0
	for before := 0; before < len(writes); turns++ {
		touched := s.h.stats.Touched.Load()
		s.step()
		n := answered()
		if n-before > 1 {
			t.Fatalf("%d entries are applied in a turn that has room for one", n-before)
		}
		if more := s.h.stats.Touched.Load() - touched; more > 4*length {
			t.Fatalf("a turn touches %d bytes", more)
		}
		if turns > 100 {
			t.Fatalf("%d of %d answers after %d turns", n, len(writes), turns)
		}
		if before = n; n < len(writes) && n > 0 && !s.out.More {
			t.Fatal("a turn leaves entries behind and does not say that there is more to do")
		}
	}
	for i, w := range writes {
		if got, want := (*w)[0].Result.Number, int64(length+i/2+1); got != want {
			t.Errorf("append %d made %d bytes, want %d", i, got, want)
		}
	}
}

// What was merged into an entry that touches enough before it comes is proposed again, and nobody who
// waits learns of that.
func TestWhatAnEntryPutsOffComesInAnother(t *testing.T) {
	t.Parallel()
	const length, keys, limit = 1 << 10, 40, 5 << 10
	s := newSolo(t, 1, Limits{TouchBytes: limit})
	for i := range keys {
		s.write(0, set(fmt.Sprint("k", i), strings.Repeat("x", length)))
	}
	for range 6 {
		s.step()
	}
	entries := s.h.stats.Applied.Load()
	var writes []*[]Reply
	for range 2 {
		for i := range keys {
			writes = append(writes, s.write(0, appending(fmt.Sprint("k", i), "yy")))
		}
	}
	for range 100 {
		applied, touched := s.h.stats.Applied.Load(), s.h.stats.Touched.Load()
		s.step()
		if n := s.h.stats.Applied.Load() - applied; s.h.stats.Touched.Load()-touched > n*(limit+4*length) {
			t.Fatalf("%d entries touch %d bytes", n, s.h.stats.Touched.Load()-touched)
		}
	}
	for i, w := range writes {
		if len(*w) != 1 || (*w)[0].Err != nil || (*w)[0].Result.Outcome != kv.Done || (*w)[0].PutOff {
			t.Fatalf("append %d: %+v", i, *w)
		}
	}
	for i := range keys {
		rec, _, err := s.db.Get(0, fmt.Append(nil, "k", i))
		if want := strings.Repeat("x", length) + "yyyy"; err != nil || string(rec.Value.Data) != want ||
			rec.Value.Kind != kv.String {
			t.Errorf("key %d holds %d bytes of kind %v, want %d; %v", i, len(rec.Value.Data), rec.Value.Kind, len(want),
				err)
		}
	}
	if n := s.h.stats.Applied.Load() - entries; n < 20 || n > 80 {
		t.Errorf("%d entries for %d commands of which two or three fit one", n, len(writes))
	}
	// What is left does not go through the log as a whole for each two of it.
	if n := s.h.stats.PutOff.Load(); n == 0 || n > 2*int64(len(writes)) {
		t.Errorf("%d times was a command put off, of %d", n, len(writes))
	}
	if s.h.uncommitted != 0 {
		t.Errorf("%d bytes are counted when all is applied", s.h.uncommitted)
	}
}

func TestABatchIsCutWhereItTouchesEnough(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.touch = 3000
	tx := kv.Transaction{AnswerBytes: 1 << 20, Cut: true}
	for i := range 10 {
		key := fmt.Sprint("k", i)
		b.run(1000, set(key, strings.Repeat("x", 1000)))
		tx.Commands = append(tx.Commands, appending(key, "y"))
	}
	b.m.touched = 0
	for len(tx.Commands) > 0 {
		n := len(b.apply(1000, true, tx.AppendTo(nil))[0].Transaction.Results)
		if n != 1 || b.m.touched != 3002 { // read, copied and looked through
			t.Fatalf("%d commands touch %d bytes", n, b.m.touched)
		}
		b.m.touched, tx.Commands = 0, tx.Commands[n:]
	}
}

// A transaction is not cut. One that might touch too much is refused before it changes anything.
func TestATransactionThatTouchesTooMuchChangesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.touch = 1000
	tx := kv.Transaction{AnswerBytes: 1 << 20}
	for i := range 3 {
		key := fmt.Sprint("k", i)
		b.run(1000, set(key, strings.Repeat("x", 1000)))
		tx.Commands = append(tx.Commands, appending(key, "y"))
	}
	before := dump(b)
	res := b.apply(1000, true, tx.AppendTo(nil))[0].Transaction
	if !res.TooLarge || !res.Touches || len(res.Results) != 0 || dump(b) != before {
		t.Errorf("it is to touch 9,000 bytes, of 4,000: %+v", res)
	}
	tx.Commands = tx.Commands[:1]
	if res := b.apply(1000, true, tx.AppendTo(nil))[0].Transaction; res.TooLarge || len(res.Results) != 1 {
		t.Errorf("one of them touches 3,000: %+v", res)
	}
}

// However often an entry changes a long value, it is copied, hashed and looked through once.
func TestManyChangesOfALongValueCostOne(t *testing.T) {
	t.Parallel()
	const length = 1 << 20
	for name, change := range map[string]kv.Command{
		"append": appending("k", "y"),
		"setrange": {Op: kv.OpSetRange, Key: []byte("k"), Value: kv.Value{Data: []byte("y")}, Offset: 77,
			Limit: 2 << 20},
		"expire":  {Op: kv.OpExpire, Key: []byte("k"), Expiry: kv.Expiry{Kind: kv.ExpiryIn, MS: 1}},
		"refused": {Op: kv.OpIncr, Key: []byte("k"), Delta: 1},
	} {
		b := newBench(t)
		b.run(1000, set("k", strings.Repeat("x", length)))
		tx := kv.Transaction{AnswerBytes: 1 << 20}
		for i := range 400 {
			change.Limit, change.Expiry.MS = 2<<20, int64(1000+i)
			tx.Commands = append(tx.Commands, change)
		}
		b.m.touched = 0
		b.touch = length
		res := b.apply(1000, true, tx.AppendTo(nil))[0].Transaction
		if len(res.Results) != 400 || b.m.touched > 3*length+1000 {
			t.Errorf("%s: %d results; %d bytes are touched, which is %.1f times the value", name, len(res.Results),
				b.m.touched, float64(b.m.touched)/length)
		}
	}
}

// Long values become what they would become if each command came alone, in an entry from before there
// were bounds; whoever waits or not, and whatever was read before, the same is put off.
func TestLongValuesAreTheSameForAll(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		leader, follower, alone := newBench(t), newBench(t), newBench(t)
		alone.unbounded = true
		for range rapid.IntRange(1, 12).Draw(rt, "entries") {
			leader.touch = rapid.Int64Range(0, 4000).Draw(rt, "touch")
			follower.touch = leader.touch
			var units [][]byte
			var commands [][]kv.Command
			for range rapid.IntRange(1, 4).Draw(rt, "units") {
				tx := kv.Transaction{AnswerBytes: 1 << 20, Cut: rapid.Bool().Draw(rt, "cut")}
				for range rapid.IntRange(1, 6).Draw(rt, "commands") {
					tx.Commands = append(tx.Commands, drawLong(rt))
				}
				if len(tx.Commands) == 1 {
					units = append(units, tx.Commands[0].AppendTo(nil))
				} else {
					units = append(units, tx.AppendTo(nil))
				}
				commands = append(commands, tx.Commands)
			}
			leader.m.touched, follower.m.touched = 0, 0
			replies := leader.apply(1000, true, units...)
			follower.apply(1000, false, units...)
			if leader.m.touched != follower.m.touched || leader.ap.Hash != follower.ap.Hash ||
				dump(leader) != dump(follower) {
				rt.Fatalf("leader touched %d, follower %d\n%s\n%s", leader.m.touched, follower.m.touched, dump(leader),
					dump(follower))
			}
			if replies[0].PutOff {
				rt.Fatal("the first of an entry is put off")
			}
			for i, r := range replies {
				if r.PutOff && (leader.touch == 0 || leader.m.touched < leader.touch) {
					rt.Fatalf("put off after %d of %d bytes", leader.m.touched, leader.touch)
				}
				results := []kv.Result{r.Result}
				if r.PutOff {
					results = nil
				} else if r.Transaction != nil {
					results = r.Transaction.Results
				}
				for j := range results {
					if got, want := tell(results[j]), tell(alone.run(1000, commands[i][j])); got != want {
						rt.Fatalf("%+v: %q, alone %q", commands[i][j], got, want)
					}
				}
			}
			if dump(leader) != dump(alone) {
				rt.Fatalf("got\n%s\nwant\n%s", dump(leader), dump(alone))
			}
		}
	})
}

// What is foreseen of a transaction is never less than what it touches.
func TestATransactionTouchesNoMoreThanWasForeseen(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t)
		for range rapid.IntRange(1, 8).Draw(rt, "entries") {
			tx := kv.Transaction{AnswerBytes: 1 << 20}
			for range rapid.IntRange(1, 12).Draw(rt, "commands") {
				tx.Commands = append(tx.Commands, drawLong(rt))
			}
			b.touch = rapid.Int64Range(1, 4000).Draw(rt, "touch")
			b.m.touched = 0
			res := b.apply(1000, true, tx.AppendTo(nil))[0].Transaction
			// Short values are counted each time that they are looked at, which is thrice at most.
			if most := transactionTouches*b.touch + int64(3*longValue*len(tx.Commands)); !res.TooLarge &&
				b.m.touched > most {
				rt.Fatalf("%d bytes are touched, of %d: %+v", b.m.touched, most, tx)
			}
		}
	})
}

// drawLong draws a command on values around and above longValue.
func drawLong(t *rapid.T) kv.Command {
	c := drawCommand(t)
	c.Limit, c.Offset = 2000, int64(rapid.IntRange(0, 900).Draw(t, "offset"))
	if c.Op != kv.OpIncrFloat {
		c.Value.Data = []byte(strings.Repeat(rapid.SampledFrom([]string{"x", "ü", "\xff", "12"}).Draw(t, "text"),
			rapid.SampledFrom([]int{1, 100, 255, 400}).Draw(t, "times")))
	}
	if c.Op == kv.OpSetRange && rapid.Bool().Draw(t, "short") {
		c.Value.Data = c.Value.Data[:1]
	}
	if c.Cond.Kind != kv.CondVersion && rapid.IntRange(0, 2).Draw(t, "free") > 0 {
		c.Cond = kv.Condition{}
	}
	return c
}

// BenchmarkAppendsToOneLongValue applies an entry of 400 APPENDs to a value of nearly 8 MiB, as it is now
// and as it was before entries were bounded.
func BenchmarkAppendsToOneLongValue(b *testing.B) {
	for _, unbounded := range []bool{true, false} {
		b.Run(fmt.Sprint("unbounded=", unbounded), func(b *testing.B) {
			m := newBench(b)
			m.unbounded, m.touch = unbounded, 64<<20
			tx := kv.Transaction{AnswerBytes: 1 << 20, Cut: true}
			for range 400 {
				tx.Commands = append(tx.Commands, kv.Command{
					Op: kv.OpAppend, Key: []byte("k"), Value: kv.Value{Data: []byte("y")}, Limit: 8 << 20,
				})
			}
			unit := tx.AppendTo(nil)
			for b.Loop() {
				b.StopTimer()
				m.run(1000, set("k", strings.Repeat("x", 8<<20-1000)))
				b.StartTimer()
				if got := m.apply(1000, false, unit); got != nil {
					b.Fatal(got)
				}
			}
		})
	}
}
