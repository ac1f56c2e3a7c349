package machine

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	_ "pxkv/deploy/properties"
	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/persist"
	"pxkv/persist/data"
	"pxkv/persist/raftlog"
	"pxkv/persist/state"
)

// bench drives one state machine without a group.
type bench struct {
	t  testing.TB
	db *persist.DB
	r  *raftlog.Replica
	m  *KV
	ap state.Applied
	// touch is how much an entry may touch; unbounded entries are of the version before there was such
	// a bound.
	touch     int64
	unbounded bool
	touched   int64 // by all entries so far
}

func newBench(t testing.TB) *bench {
	t.Helper()
	db, err := persist.Open(persist.Options{Dir: "data", FS: vfs.NewMem(), Light: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b := &bench{t: t, db: db, m: &KV{}, ap: state.Applied{Index: 1, Term: 1}}
	batch := db.NewBatch()
	b.r = batch.Create(0, 1, &b.ap)
	if err := batch.Commit(); err != nil {
		t.Fatal(err)
	}
	return b
}

// apply executes one entry at a time, as a group does.
func (b *bench) apply(timeMS int64, awaited bool, units ...[]byte) []entry.Reply {
	b.t.Helper()
	p := entry.Payload{TimeMS: timeMS, TouchBytes: b.touch, Count: len(units)}
	if b.unbounded {
		p.TouchBytes = 0
	}
	data := p.AppendTo(nil)
	if b.unbounded { // version 3 has no TouchBytes, which stand before the number of commands
		data = append(data[:len(data)-2], byte(len(units)))
		data[0] = 3
	}
	decoded, err := entry.Decode(append(data, bytes.Join(units, nil)...))
	if err != nil {
		b.t.Fatal(err)
	}
	a := b.db.NewApply()
	b.ap.Index++
	b.ap.TimeMS = max(b.ap.TimeMS, timeMS)
	out, err := b.m.Apply(a, 0, &b.ap, &decoded, awaited)
	if err != nil {
		b.t.Fatal(err)
	}
	b.commit(a)
	b.touched += out.Touched
	return out.Replies
}

func (b *bench) commit(a *data.Apply) {
	b.t.Helper()
	a.SetApplied(b.r, b.ap)
	if err := a.Commit(); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) purge(timeMS int64, count int) int {
	b.t.Helper()
	a := b.db.NewApply()
	b.ap.Index++
	b.ap.TimeMS = max(b.ap.TimeMS, timeMS)
	n, err := b.m.Purge(a, 0, &b.ap, &entry.Payload{PurgeMS: timeMS, Count: count})
	if err != nil {
		b.t.Fatal(err)
	}
	b.commit(a)
	return n
}

func (b *bench) run(timeMS int64, c kv.Command) kv.Result {
	b.t.Helper()
	return b.apply(timeMS, true, c.AppendTo(nil))[0].Result
}

func text(s string) kv.Value { return kv.Value{Kind: kv.String, Data: []byte(s)} }

func set(key, value string) kv.Command {
	return kv.Command{Op: kv.OpPut, Key: []byte(key), Value: text(value)}
}

// tell puts a result into words.
func tell(r kv.Result) string {
	var b strings.Builder
	b.WriteString([]string{
		"?", "done", "not found", "condition failed", "not integer", "overflow", "not float", "not finite", "too large",
	}[r.Outcome])
	if r.Created {
		b.WriteString(", created")
	}
	if r.Number != 0 {
		fmt.Fprintf(&b, ", number %d", r.Number)
	}
	if r.Deadline != 0 {
		fmt.Fprintf(&b, ", until %d", r.Deadline)
	}
	if r.Item != nil {
		fmt.Fprintf(&b, ", %s %q", r.Item.Value.Kind, r.Item.Value.Data)
	}
	return b.String()
}

// Each command is carried out at its time after those before it.
func TestOperations(t *testing.T) {
	t.Parallel()
	k := []byte("k")
	type at struct {
		ms   int64
		cmd  kv.Command
		want string
	}
	get := kv.Command{Op: kv.OpRead, Key: k}
	in := func(c kv.Command, ms int64) kv.Command {
		c.Expiry = kv.Expiry{Kind: kv.ExpiryIn, MS: ms}
		return c
	}
	until := func(ms int64, cond kv.CondKind) kv.Command {
		return kv.Command{
			Op: kv.OpExpire, Key: k, Expiry: kv.Expiry{Kind: kv.ExpiryAt, MS: ms}, Cond: kv.Condition{Kind: cond},
		}
	}
	with := func(c kv.Command, f func(*kv.Command)) kv.Command { f(&c); return c }
	incr := func(n int64) kv.Command { return kv.Command{Op: kv.OpIncr, Key: k, Delta: n} }
	incrFloat := func(s string) kv.Command {
		return kv.Command{Op: kv.OpIncrFloat, Key: k, Value: kv.Value{Data: []byte(s)}}
	}
	appendTo := func(s string) kv.Command {
		return kv.Command{Op: kv.OpAppend, Key: k, Value: kv.Value{Data: []byte(s)}, Limit: 10}
	}
	setRange := func(at int64, s string) kv.Command {
		return kv.Command{Op: kv.OpSetRange, Key: k, Offset: at, Value: kv.Value{Data: []byte(s)}, Limit: 10}
	}
	rename := func(from, to string, cond kv.CondKind) kv.Command {
		return kv.Command{Op: kv.OpRename, Key: []byte(from), NewKey: []byte(to), Cond: kv.Condition{Kind: cond}}
	}
	for name, steps := range map[string][]at{
		"a deadline is reached": {
			{1000, in(set("k", "v"), 50), "done, created, until 1050"},
			{1049, get, `done, until 1050, string "v"`},
			{1050, get, "not found"},
			{1050, kv.Command{Op: kv.OpDelete, Key: k}, "not found"},
			{1050, set("k", "w"), "done, created"},
			{9999, get, `done, string "w"`},
		},
		"the group's time never goes back": {
			{1000, in(set("k", "v"), 50), "done, created, until 1050"},
			{2000, set("other", "v"), "done, created"},
			{1001, get, "not found"},
			{1001, in(set("k", "v"), 50), "done, created, until 2050"},
		},
		"a deadline in the past deletes": {
			{1000, set("k", "v"), "done, created"},
			{1000, in(set("k", "w"), -1), "done"},
			{1000, get, "not found"},
			{1000, set("k", "v"), "done, created"},
			{1000, until(1000, kv.CondNone), "done"},
			{1000, get, "not found"},
			{1000, set("k", "v"), "done, created"},
			{1000, until(math.MinInt64, kv.CondNone), "done"},
			{1000, get, "not found"},
			{1000, until(2000, kv.CondNone), "not found"},
		},
		"a far deadline": {
			{1000, in(set("k", "v"), math.MaxInt64), "done, created, until 9223372036854775807"},
		},
		"a put ends a deadline or keeps it": {
			{1000, in(set("k", "v"), 50), "done, created, until 1050"},
			{1010, with(set("k", "w"), func(c *kv.Command) { c.Expiry.Kind = kv.ExpiryKeep }), "done, until 1050"},
			{1010, set("k", "x"), "done"},
			{9999, get, `done, string "x"`},
		},
		"conditions of expire": {
			{1000, until(2000, kv.CondLater), "not found"},
			{1000, set("k", "v"), "done, created"},
			{1000, until(2000, kv.CondDeadline), "condition failed"},
			{1000, until(2000, kv.CondLater), "condition failed"},
			{1000, until(2000, kv.CondHasAndEarly), "condition failed"},
			{1000, until(2000, kv.CondEarlier), "done, until 2000"},
			{1000, until(3000, kv.CondNoDeadline), "condition failed, until 2000"},
			{1000, until(3000, kv.CondEarlier), "condition failed, until 2000"},
			{1000, until(3000, kv.CondLater), "done, until 3000"},
			{1000, until(2500, kv.CondHasAndEarly), "done, until 2500"},
			{1000, until(2600, kv.CondDeadline), "done, until 2600"},
			{1000, kv.Command{Op: kv.OpExpire, Key: k, Cond: kv.Condition{Kind: kv.CondDeadline}}, "done"},
			{9999, get, `done, string "v"`},
			{9999, kv.Command{Op: kv.OpExpire, Key: k, Cond: kv.Condition{Kind: kv.CondDeadline}}, "condition failed"},
		},
		"counters": {
			{1000, incr(5), "done, created, number 5"},
			{1000, incr(-7), "done, number -2"},
			{1000, get, `done, json "-2"`},
			{1000, in(set("k", "10"), 50), "done, until 1050"},
			{1000, incr(1), "done, number 11, until 1050"},
			{1000, get, `done, until 1050, string "11"`},
			{1050, incr(1), "done, created, number 1"},
			{1050, set("k", " 1"), "done"},
			{1050, incr(1), "not integer"},
			{1050, set("k", fmt.Sprint(math.MaxInt64)), "done"},
			{1050, incr(1), "overflow"},
			{1050, incr(-1), fmt.Sprintf("done, number %d", math.MaxInt64-1)},
			{1050, set("k", fmt.Sprint(math.MinInt64)), "done"},
			{1050, incr(math.MinInt64), "overflow"},
			{1050, incr(0), fmt.Sprintf("done, number %d", math.MinInt64)},
			{1050, with(incr(1), func(c *kv.Command) {
				c.Cond = kv.Condition{Kind: kv.CondAbsent}
			}), "condition failed"},
		},
		"decimal counters": {
			{1000, incrFloat("10.5"), `done, created, json "10.5"`},
			{1000, incrFloat("-0.5"), `done, json "10"`},
			{1000, set("k", "3.0e3"), "done"},
			{1000, incrFloat("200"), `done, string "3200"`},
			{1000, set("k", "abc"), "done"},
			{1000, incrFloat("1"), "not float"},
			{1000, set("k", "1e4932"), "done"},
			{1000, incrFloat("1e4932"), "not finite"},
		},
		"append": {
			{1000, appendTo("Hello"), "done, created, number 5"},
			{1000, appendTo(" you"), "done, number 9"},
			{1000, appendTo("xy"), "too large"},
			{1000, get, `done, string "Hello you"`},
			{1000, appendTo("\xff"), "done, number 10"},
			{1000, get, `done, binary "Hello you\xff"`},
			{1000, in(set("k", "a"), 50), "done, until 1050"},
			{1000, appendTo("b"), "done, number 2, until 1050"},
		},
		"set range": {
			{1000, setRange(3, ""), "done"},
			{1000, get, "not found"},
			{1000, setRange(2, "xy"), "done, created, number 4"},
			{1000, get, `done, string "\x00\x00xy"`},
			{1000, setRange(1, "ab"), "done, number 4"},
			{1000, get, `done, string "\x00aby"`},
			{1000, setRange(99, ""), "done, number 4"},
			{1000, setRange(9, "ab"), "too large"},
			{1000, setRange(math.MaxInt64, "ab"), "too large"},
			{1000, setRange(8, "ab"), "done, number 10"},
		},
		"rename": {
			{1000, rename("k", "n", kv.CondNone), "not found"},
			{1000, in(set("k", "v"), 50), "done, created, until 1050"},
			{1000, set("n", "taken"), "done, created"},
			{1000, rename("k", "n", kv.CondNewAbsent), "condition failed, until 1050"},
			{1000, rename("k", "k", kv.CondNewAbsent), "condition failed, until 1050"},
			{1000, rename("k", "k", kv.CondNone), "done, until 1050"},
			{1000, rename("k", "n", kv.CondNone), "done, until 1050"},
			{1000, get, "not found"},
			{1000, kv.Command{Op: kv.OpRead, Key: []byte("n")}, `done, until 1050, string "v"`},
			{1050, set("k", "w"), "done, created"},
			{1050, rename("k", "n", kv.CondNewAbsent), "done, created"},
		},
		"conditions on values, and what was there before": {
			{1000, with(set("k", "v"), func(c *kv.Command) { c.ReturnOld = true }), "done, created"},
			{1000, with(set("k", "w"), func(c *kv.Command) {
				c.Cond = kv.Condition{Kind: kv.CondValue, Value: []byte("x")}
			}), "condition failed"},
			{1000, with(set("k", "w"), func(c *kv.Command) {
				c.Cond, c.ReturnOld = kv.Condition{Kind: kv.CondValue, Value: []byte("v")}, true
			}), `done, string "v"`},
			{1000, with(set("k", "x"), func(c *kv.Command) {
				c.Cond, c.ReturnOld = kv.Condition{Kind: kv.CondAbsent}, true
			}), `condition failed, string "w"`},
			{1000, with(until(2000, kv.CondNone), func(c *kv.Command) {
				c.ReturnOld = true
			}), `done, until 2000, string "w"`},
			{1000, kv.Command{Op: kv.OpDelete, Key: k, ReturnOld: true}, `done, string "w"`},
			{1000, kv.Command{Op: kv.OpDelete, Key: k, ReturnOld: true}, "not found"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			for i, s := range steps {
				if got := tell(b.run(s.ms, s.cmd)); got != s.want {
					t.Fatalf("step %d: %s; want %s", i, got, s.want)
				}
			}
		})
	}
}

func TestTransactionsAreWholeAndWatch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	version := b.run(1000, set("k", "1")).Version
	transact := func(tx kv.Transaction) *kv.TransactionResult {
		return b.apply(1000, true, tx.AppendTo(nil))[0].Transaction
	}
	tx := kv.Transaction{
		Watches: []kv.Watch{{Key: []byte("k"), Version: version}, {Key: []byte("absent")}},
		Commands: []kv.Command{
			{Op: kv.OpIncr, Key: []byte("k"), Delta: 1}, {Op: kv.OpRead, Key: []byte("k")},
			{Op: kv.OpPut, Key: []byte("text"), Value: text("x")}, {Op: kv.OpIncr, Key: []byte("text"), Delta: 1},
		},
	}
	res := transact(tx)
	var got []string
	for _, r := range res.Results {
		got = append(got, tell(r))
	}
	if want := []string{
		"done, number 2", `done, string "2"`, "done, created", "not integer",
	}; res.Conflict || !slices.Equal(got, want) {
		t.Errorf("got %v %q, want %q", res.Conflict, got, want)
	}
	if res := transact(tx); !res.Conflict || len(res.Results) != 0 {
		t.Errorf("the watched version is gone: %+v", res)
	}
	if got := tell(b.run(1000, kv.Command{Op: kv.OpRead, Key: []byte("k")})); got != `done, string "2"` {
		t.Errorf("a conflict changed something: %s", got)
	}
	tx.Watches = []kv.Watch{{Key: []byte("k")}}
	if !transact(tx).Conflict {
		t.Error("a key was watched as absent, and is there")
	}
}

// What a transaction asks for is known to fit its answer before anything is changed; what is cut
// ends where it would not.
func TestAnswersAreBoundedBeforeAnythingIsChanged(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		b, model := newBench(t), newBench(t)
		for range rapid.IntRange(1, 20).Draw(rt, "entries") {
			tx := kv.Transaction{
				AnswerBytes: rapid.Int64Range(1, 12).Draw(rt, "answer"), Cut: rapid.Bool().Draw(rt, "cut"),
			}
			for range rapid.IntRange(1, 6).Draw(rt, "commands") {
				c := drawCommand(rt)
				if c.Op == kv.OpIncrFloat { // a sum may be long, and so always is, when it is cut
					c.Op, c.Cond = kv.OpDelete, kv.Condition{}
				}
				tx.Commands = append(tx.Commands, c)
			}
			before := dump(b)
			res := b.apply(1000, true, tx.AppendTo(nil))[0].Transaction
			asked := int64(0)
			for i := range res.Results {
				if it := res.Results[i].Item; it != nil {
					asked += int64(len(it.Value.Data))
				}
			}
			if asked > tx.AnswerBytes {
				rt.Fatalf("%d bytes of values, allowed are %d", asked, tx.AnswerBytes)
			}
			switch {
			case tx.Cut:
				if n := len(res.Results); n < len(tx.Commands) && !tx.Commands[n].Asks() {
					rt.Fatalf("cut before command %d, which asks for nothing", n)
				}
				tx.Commands = tx.Commands[:len(res.Results)]
			case res.TooLarge:
				if len(res.Results) != 0 || dump(b) != before {
					rt.Fatalf("refused, and yet: %+v\n%s\nbefore\n%s", res, dump(b), before)
				}
				continue
			case len(res.Results) != len(tx.Commands):
				rt.Fatalf("%d results for %d commands", len(res.Results), len(tx.Commands))
			}
			for i := range tx.Commands {
				if got, want := tell(res.Results[i]), tell(model.run(1000, tx.Commands[i])); got != want {
					rt.Fatalf("command %d: %q, alone %q", i, got, want)
				}
			}
			if dump(b) != dump(model) {
				rt.Fatalf("got\n%s\nwant\n%s", dump(b), dump(model))
			}
		}
	})
}

func TestPurgeDeletesWhatIsDueInSteps(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 10 {
		c := set(fmt.Sprint("k", i), "v")
		c.Expiry = kv.Expiry{Kind: kv.ExpiryAt, MS: 2000 + int64(i)}
		b.run(1000, c)
	}
	b.run(1000, set("k1", "for ever"))
	prolonged := kv.Command{Op: kv.OpExpire, Key: []byte("k2"), Expiry: kv.Expiry{Kind: kv.ExpiryAt, MS: 9000}}
	b.run(1000, prolonged)
	last := b.run(1000, set("z", "v")).Version
	due := func(ms int64) bool {
		t.Helper()
		due, err := b.m.Due(b.db.Store, 0, ms)
		if err != nil {
			t.Fatal(err)
		}
		return due
	}
	if due(1999) || !due(2000) {
		t.Error("the first deadline is 2000")
	}
	if n := b.purge(1500, 100); n != 0 {
		t.Errorf("%d purged before their time", n)
	}
	if n := b.purge(2006, 4); n != 4 || !due(2006) || due(2005) { // k0, k3, k4, k5
		t.Errorf("first step deleted %d", n)
	}
	if n := b.purge(2006, 100); n != 1 || due(2006) || !due(2007) {
		t.Errorf("second step deleted %d", n)
	}
	items, _, err := b.db.Scan(0, data.Query{})
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, it := range items {
		left = append(left, string(it.Key))
	}
	if want := "k1 k2 k7 k8 k9 z"; strings.Join(left, " ") != want {
		t.Errorf("left are %v, want %s", left, want)
	}
	if v := b.run(2006, set("k0", "again")).Version; v <= last {
		t.Errorf("version %d was there before, the last was %d", v, last)
	}
}

// Whoever waits for the results or not, and however entries are gathered, the effects are the
// same: else replicas would differ.
func TestEffectsDoNotDependOnWhoWaits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		leader, follower := newBench(t), newBench(t)
		leader.m.Known = func(_ kv.PartitionID, key []byte) bool {
			rec, ok, err := leader.db.Get(0, key)
			return err == nil && ok && rec.DeadlineMS == 0
		}
		now := int64(1000)
		for range rapid.IntRange(1, 25).Draw(rt, "entries") {
			now += int64(rapid.IntRange(0, 30).Draw(rt, "pause"))
			if rapid.IntRange(0, 5).Draw(rt, "purge") == 0 {
				leader.purge(now, 3)
				follower.m.Reload()
				follower.purge(now, 3)
				continue
			}
			var units [][]byte
			for range rapid.IntRange(1, 4).Draw(rt, "commands") {
				c := drawCommand(rt)
				if rapid.IntRange(0, 4).Draw(rt, "transaction") == 0 {
					tx := kv.Transaction{Watches: []kv.Watch{{Key: drawKey(rt),
						Version: uint64(rapid.IntRange(0, 20).Draw(rt, "watched"))}},
						Commands: []kv.Command{c, drawCommand(rt)}}
					if tx.Cut = rapid.Bool().Draw(rt, "cut"); tx.Cut || rapid.Bool().Draw(rt, "bounded") {
						tx.AnswerBytes = rapid.Int64Range(1, 6).Draw(rt, "answer")
					}
					units = append(units, tx.AppendTo(nil))
				} else {
					units = append(units, c.AppendTo(nil))
				}
			}
			if got := len(leader.apply(now, true, units...)); got != len(units) {
				rt.Fatalf("%d replies for %d", got, len(units))
			}
			follower.apply(now, false, units...)
			if leader.ap.Hash != follower.ap.Hash || leader.ap.Revision != follower.ap.Revision {
				rt.Fatalf("leader %+v, follower %+v", leader.ap, follower.ap)
			}
		}
		if a, b := dump(leader), dump(follower); a != b {
			rt.Fatalf("leader\n%s\nfollower\n%s", a, b)
		}
	})
}

func drawKey(t *rapid.T) []byte { return []byte{byte('a' + rapid.IntRange(0, 4).Draw(t, "key"))} }

func drawCommand(t *rapid.T) kv.Command {
	c := kv.Command{
		Op: kv.Op(rapid.IntRange(1, 9).Draw(t, "op")), Key: drawKey(t), NewKey: drawKey(t), Delta: 1, Offset: 2,
		Limit: 12,
		Value: text(rapid.SampledFrom([]string{"1", "x", "", "\xff"}).Draw(t, "value")),
		Blind: rapid.Bool().Draw(t, "blind"), ReturnOld: rapid.Bool().Draw(t, "old"),
		Expiry: kv.Expiry{Kind: kv.ExpiryKind(rapid.IntRange(0, 3).Draw(t, "expiry")),
			MS: int64(rapid.IntRange(-5, 60).Draw(t, "ms"))},
	}
	if c.Op == kv.OpIncrFloat {
		c.Value.Data = []byte("0.5")
	}
	c.Cond.Kind = kv.CondKind(rapid.IntRange(0, 10).Draw(t, "cond"))
	c.Cond.Version, c.Cond.Value = uint64(rapid.IntRange(0, 20).Draw(t, "version")), []byte("1")
	if c.Validate(100) != nil {
		c.Cond = kv.Condition{}
	}
	return c
}

// dump tells all that a store holds.
func dump(b *bench) string {
	items, _, err := b.db.Scan(0, data.Query{})
	due, _, err2 := b.db.Due(0, data.Due{}, math.MaxInt64, math.MaxInt)
	return fmt.Sprintf("%v %v\n%v %v", items, err, due, err2)
}
