package machine

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pxkv/node/entry"
	"pxkv/node/kv"
)

func appending(key, data string) kv.Command {
	return kv.Command{Op: kv.OpAppend, Key: []byte(key), Value: kv.Value{Data: []byte(data)}, Limit: 1 << 20}
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
	b.touched = 0
	for len(tx.Commands) > 0 {
		n := len(b.apply(1000, true, tx.AppendTo(nil))[0].Transaction.Results)
		if n != 1 || b.touched != 3002 { // read, copied and looked through
			t.Fatalf("%d commands touch %d bytes", n, b.touched)
		}
		b.touched, tx.Commands = 0, tx.Commands[n:]
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
		b.touched = 0
		b.touch = length
		res := b.apply(1000, true, tx.AppendTo(nil))[0].Transaction
		if len(res.Results) != 400 || b.touched > 3*length+1000 {
			t.Errorf("%s: %d results; %d bytes are touched, which is %.1f times the value", name, len(res.Results),
				b.touched, float64(b.touched)/length)
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
			replies := applyAlike(rt, leader, follower, units)
			if replies[0].PutOff {
				rt.Fatal("the first of an entry is put off")
			}
			for i, r := range replies {
				if r.PutOff && (leader.touch == 0 || leader.touched < leader.touch) {
					rt.Fatalf("put off after %d of %d bytes", leader.touched, leader.touch)
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

// applyAlike applies an entry where somebody waits for its replies, which it returns, and where nobody does: the same
// is touched, hashed and stored.
func applyAlike(rt *rapid.T, leader, follower *bench, units [][]byte) []entry.Reply {
	leader.touched, follower.touched = 0, 0
	replies := leader.apply(1000, true, units...)
	follower.apply(1000, false, units...)
	if leader.touched != follower.touched || leader.ap.Hash != follower.ap.Hash ||
		dump(leader) != dump(follower) {
		rt.Fatalf("leader touched %d, follower %d\n%s\n%s", leader.touched, follower.touched, dump(leader),
			dump(follower))
	}
	return replies
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
			applyForeseen(rt, b, &tx)
		}
	})
}

// applyForeseen applies a transaction, with a drawn limit: unless it is refused it touches no more.
func applyForeseen(rt *rapid.T, b *bench, tx *kv.Transaction) {
	b.touch = rapid.Int64Range(1, 4000).Draw(rt, "touch")
	b.touched = 0
	res := b.apply(1000, true, tx.AppendTo(nil))[0].Transaction
	// Short values are counted each time that they are looked at, which is thrice at most.
	if most := transactionTouches*b.touch + int64(3*longValue*len(tx.Commands)); !res.TooLarge && b.touched > most {
		rt.Fatalf("%d bytes are touched, of %d: %+v", b.touched, most, tx)
	}
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
