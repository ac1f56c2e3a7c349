package machine

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/node/pack"
	"pxkv/persist/data"
)

// packers pack whatever becomes shorter.
var packers = []*pack.Packer{nil, pack.NewPacker(kv.Zlib, 1), pack.NewPacker(kv.Zstd, 1)}

// packed is a command as package node proposes it.
func packed(p *pack.Packer, c kv.Command) kv.Command {
	if c.Op == kv.OpPut {
		c.Value = p.Pack(c.Value)
	}
	return c
}

// Every command answers the same, whether what its key holds is packed or not, and leaves the same behind.
func TestPackedValuesAnswerAlike(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a long value, ", 100)
	number := strings.Repeat("0", 700) + "12.5"
	k, n := []byte("k"), []byte("n")
	with := func(c kv.Command, cond kv.Condition, old bool) kv.Command {
		c.Cond, c.ReturnOld = cond, old
		return c
	}
	is := func(v string) kv.Condition { return kv.Condition{Kind: kv.CondValue, Value: []byte(v)} }
	appendTo := func(s string) kv.Command {
		return kv.Command{Op: kv.OpAppend, Key: k, Value: kv.Value{Data: []byte(s)}, Limit: 2000}
	}
	setRange := func(at int64, s string) kv.Command {
		return kv.Command{Op: kv.OpSetRange, Key: k, Offset: at, Value: kv.Value{Data: []byte(s)}, Limit: 2000}
	}
	until := func(ms int64) kv.Command {
		return kv.Command{Op: kv.OpExpire, Key: k, Expiry: kv.Expiry{Kind: kv.ExpiryAt, MS: ms}}
	}
	addOne := kv.Command{Op: kv.OpIncrFloat, Key: k, Value: text("1")}
	rename := kv.Command{Op: kv.OpRename, Key: k, NewKey: n}
	// Each is carried out on a key that holds long, or number where it says so.
	for what, c := range map[string]struct {
		holds string
		cmd   kv.Command
	}{
		"read":                      {long, kv.Command{Op: kv.OpRead, Key: k}},
		"put":                       {long, set("k", "other")},
		"put, old":                  {long, with(set("k", long+"2"), kv.Condition{}, true)},
		"put if equal":              {long, with(set("k", long+"2"), is(long), false)},
		"put if equal, old":         {long, with(set("k", long+"2"), is(long), true)},
		"put if equal, is not":      {long, with(set("k", long+"2"), is(strings.ToUpper(long)), true)},
		"put if equal, shorter":     {long, with(set("k", long+"2"), is("x"), false)},
		"put if absent, old":        {long, with(set("k", "x"), kv.Condition{Kind: kv.CondAbsent}, true)},
		"put if present":            {long, with(set("k", "x"), kv.Condition{Kind: kv.CondPresent}, false)},
		"put if version":            {long, with(set("k", "x"), kv.Condition{Kind: kv.CondVersion, Version: 1}, true)},
		"delete":                    {long, kv.Command{Op: kv.OpDelete, Key: k}},
		"delete, old":               {long, kv.Command{Op: kv.OpDelete, Key: k, ReturnOld: true}},
		"delete if equal":           {long, with(kv.Command{Op: kv.OpDelete, Key: k}, is(long), true)},
		"incr":                      {long, kv.Command{Op: kv.OpIncr, Key: k, Delta: 1}},
		"incr if equal":             {long, with(kv.Command{Op: kv.OpIncr, Key: k, Delta: 1}, is("x"), true)},
		"incr float of a text":      {long, addOne},
		"incr float of a number":    {number, addOne},
		"incr float, old":           {number, with(addOne, kv.Condition{}, true)},
		"append":                    {long, appendTo("end")},
		"append nothing":            {long, appendTo("")},
		"append bytes":              {long, appendTo("\xff")},
		"append, old":               {long, with(appendTo("end"), kv.Condition{}, true)},
		"append too much":           {long, appendTo(strings.Repeat("x", 601))},
		"append as much as can be":  {long, appendTo(strings.Repeat("x", 600))},
		"append if equal":           {long, with(appendTo("end"), is(long), false)},
		"append if equal, is not":   {long, with(appendTo("end"), is("x"), true)},
		"set range":                 {long, setRange(3, "xyz")},
		"set range behind":          {long, setRange(1500, "xyz")},
		"set range too far":         {long, setRange(1998, "xyz")},
		"set range of nothing":      {long, setRange(3, "")},
		"set range, old":            {long, with(setRange(3, "xyz"), kv.Condition{}, true)},
		"expire":                    {long, until(1005)},
		"expire, old":               {long, kv.Command{Op: kv.OpExpire, Key: k, ReturnOld: true}},
		"expire if there is no end": {long, with(until(9999), kv.Condition{Kind: kv.CondNoDeadline}, false)},
		"expire at once":            {long, until(1)},
		"rename":                    {long, rename},
		"rename, old":               {long, kv.Command{Op: kv.OpRename, Key: k, NewKey: n, ReturnOld: true}},
		"rename to itself":          {long, kv.Command{Op: kv.OpRename, Key: k, NewKey: k}},
		"rename if absent":          {long, with(rename, kv.Condition{Kind: kv.CondNewAbsent}, false)},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var want string
			for i, p := range packers {
				plain := set("k", c.holds)
				plain.Value.ContentType = "a/b"
				alone, behind, inside := newBench(t), newBench(t), newBench(t)
				// Alone, in one entry with the put, and in a transaction with it; and then what the key holds.
				put, then := packed(p, plain), packed(p, c.cmd)
				if (put.Value.Packing != kv.NotPacked) != (p != nil) {
					t.Fatalf("packed by %v", put.Value.Packing)
				}
				read := []kv.Command{{Op: kv.OpRead, Key: k}, {Op: kv.OpRead, Key: n}}
				tx := kv.Transaction{Commands: append([]kv.Command{put, then}, read...), AnswerBytes: 1 << 20}
				alone.run(1000, put)
				got := tell(alone.run(1000, then))
				second := tell(behind.apply(1000, true, put.AppendTo(nil), then.AppendTo(nil))[1].Result)
				results := inside.apply(1000, true, tx.AppendTo(nil))[0].Transaction.Results
				got += " " + tell(alone.run(1000, read[0])) + " " + tell(alone.run(1000, read[1])) + dump(alone)
				second += " " + tell(behind.run(1000, read[0])) + " " + tell(behind.run(1000, read[1])) + dump(behind)
				third := tell(results[1]) + " " + tell(results[2]) + " " + tell(results[3]) + dump(inside)
				if want == "" {
					want = got
				}
				if got != want || second != want || third != want {
					t.Errorf("packed by %v:\nalone  %s\nbehind %s\ninside %s\nwant   %s", kv.Packing(i), got, second,
						third, want)
				}
			}
		})
	}
}

// drawPacked draws a command on long values, plain and packed.
func drawPacked(t *rapid.T) (plain, proposed kv.Command) {
	plain = drawLong(t)
	if plain.Cond.Kind == kv.CondValue && rapid.Bool().Draw(t, "meant") {
		plain.Cond.Value = []byte(strings.Repeat("x", 400))
	}
	return plain, packed(packers[rapid.IntRange(0, 2).Draw(t, "packing")], plain)
}

// Whoever waits or not, the same is touched, put off, stored and hashed; and it is what would be without packing.
func TestPackedValuesAreTheSameForAll(t *testing.T) {
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
				var plain []kv.Command
				for range rapid.IntRange(1, 6).Draw(rt, "commands") {
					c, proposed := drawPacked(rt)
					plain, tx.Commands = append(plain, c), append(tx.Commands, proposed)
				}
				units, commands = append(units, tx.AppendTo(nil)), append(commands, plain)
			}
			replies := applyAlike(rt, leader, follower, units)
			for i, r := range replies {
				if r.PutOff {
					continue
				}
				for j := range r.Transaction.Results {
					if got, want := tell(r.Transaction.Results[j]), tell(alone.run(1000, commands[i][j])); got != want {
						rt.Fatalf("%+v: %q, alone and plain %q", commands[i][j], got, want)
					}
				}
			}
			if dump(leader) != dump(alone) {
				rt.Fatalf("got\n%s\nwant\n%s", dump(leader), dump(alone))
			}
		}
	})
}

// What is foreseen of a transaction is never less than what it touches, packed values in it or not.
func TestWhatIsUnpackedIsForeseen(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t)
		for range rapid.IntRange(1, 8).Draw(rt, "entries") {
			tx := kv.Transaction{AnswerBytes: 1 << 20}
			for range rapid.IntRange(1, 12).Draw(rt, "commands") {
				_, c := drawPacked(rt)
				tx.Commands = append(tx.Commands, c)
			}
			applyForeseen(rt, b, &tx)
		}
	})
}

// However often an entry looks at a packed value, it is unpacked and counted once, and with its plain length.
func TestAPackedValueIsUnpackedOnceInAnEntry(t *testing.T) {
	t.Parallel()
	const length = 1 << 20
	long := strings.Repeat("x", length)
	for name, c := range map[string]kv.Command{
		"read":      {Op: kv.OpRead, Key: []byte("k")},
		"condition": {Op: kv.OpExpire, Key: []byte("k"), Cond: kv.Condition{Kind: kv.CondValue, Value: []byte(long)}},
		"refused":   {Op: kv.OpIncr, Key: []byte("k"), Delta: 1},
		"append":    appending("k", "y"),
	} {
		b := newBench(t)
		b.run(1000, packed(packers[2], set("k", long)))
		b.touched = 0
		tx := kv.Transaction{AnswerBytes: 64 << 20, Cut: true}
		for range 40 {
			c.Limit = 2 << 20
			tx.Commands = append(tx.Commands, c)
		}
		res := b.apply(1000, true, tx.AppendTo(nil))[0].Transaction
		if len(res.Results) != 40 || b.touched < length || b.touched > 3*length+40*longValue {
			t.Errorf("%s: %d results; %d bytes are touched, which is %.1f times the value", name, len(res.Results),
				b.touched, float64(b.touched)/length)
		}
	}
}

// A value that does not unpack ends what needs it with an error that names it, and nothing else.
func TestAValueThatDoesNotUnpack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := packers[2].Pack(text(strings.Repeat("x", 1000)))
	v.Plain++
	for _, key := range []string{"k", "other"} {
		b.run(1000, kv.Command{Op: kv.OpPut, Key: []byte(key), Value: v})
	}
	apply := func(c kv.Command) error {
		p := entry.Payload{TimeMS: 1000, Count: 1}
		decoded, err := entry.Decode(append(p.AppendTo(nil), c.AppendTo(nil)...))
		if err != nil {
			t.Fatal(err)
		}
		ap := b.ap
		_, err = b.m.Apply(b.db.NewApply(), 0, &ap, &decoded, true)
		return err
	}
	for _, c := range []kv.Command{{Op: kv.OpRead, Key: []byte("k")}, appending("k", "y")} {
		if err := apply(c); !errors.Is(err, pack.ErrDamaged) || !strings.Contains(err.Error(), `partition 0, key "k"`) {
			t.Errorf("operation %d: %v", c.Op, err)
		}
	}
	for _, c := range []kv.Command{
		{Op: kv.OpRename, Key: []byte("other"), NewKey: []byte("new")}, {Op: kv.OpDelete, Key: []byte("k")},
		set("k", "sound"),
	} {
		if err := apply(c); err != nil {
			t.Errorf("operation %d: %v", c.Op, err)
		}
	}
	if _, _, err := b.db.Get(0, []byte("k")); !errors.Is(err, pack.ErrDamaged) {
		t.Errorf("get: %v", err)
	}
	if rec, length, ok, err := b.db.GetPart(0, []byte("k"), kv.Part{Kind: kv.NoValue}); err != nil || !ok ||
		length != 1001 || rec.Value.Packing != kv.NotPacked {
		t.Errorf("its length is %d, %v", length, err)
	}
	if _, _, err := b.db.Scan(0, data.Query{}); !errors.Is(err, pack.ErrDamaged) {
		t.Errorf("scan: %v", err)
	}
}
