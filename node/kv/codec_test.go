package kv

import (
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// anyBytes draws bytes as a Decoder returns them: never nil.
func anyBytes(limit int) *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		return append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, limit).Draw(t, "bytes")...)
	})
}

func anyKey() *rapid.Generator[[]byte] {
	return rapid.SliceOfN(rapid.Byte(), 1, 20)
}

func anyValue() *rapid.Generator[Value] {
	return rapid.Custom(func(t *rapid.T) Value {
		return Value{
			Kind:        rapid.SampledFrom([]Kind{String, JSON, Binary}).Draw(t, "kind"),
			ContentType: rapid.StringMatching(`[a-z/]{0,9}`).Draw(t, "type"), Data: anyBytes(40).Draw(t, "data"),
		}
	})
}

func anyCommand() *rapid.Generator[Command] {
	return rapid.Custom(func(t *rapid.T) Command {
		c := Command{
			Op: Op(rapid.IntRange(1, int(opLimit)-1).Draw(t, "op")), Key: anyKey().Draw(t, "key"),
			Blind: rapid.Bool().Draw(t, "blind"), ReturnOld: rapid.Bool().Draw(t, "old"),
		}
		switch c.Cond.Kind = CondKind(rapid.IntRange(0, int(condKindLimit)-1).Draw(t, "cond")); c.Cond.Kind {
		case CondVersion:
			c.Cond.Version = rapid.Uint64().Draw(t, "version")
		case CondValue:
			c.Cond.Value = anyBytes(40).Draw(t, "compare")
		}
		if c.Expiry.Kind = ExpiryKind(rapid.IntRange(0, int(expiryKindLimit)-1).Draw(t,
			"expiry")); c.Expiry.Kind >= ExpiryIn {
			c.Expiry.MS = rapid.Int64().Draw(t, "ms")
		}
		switch c.Op {
		case OpPut:
			c.Value = anyValue().Draw(t, "value")
		case OpIncr:
			c.Delta = rapid.Int64().Draw(t, "delta")
		case OpSetRange:
			c.Offset = rapid.Int64().Draw(t, "offset")
			fallthrough
		case OpAppend:
			c.Limit = rapid.Int64().Draw(t, "limit")
			fallthrough
		case OpIncrFloat:
			c.Value.Data = anyBytes(40).Draw(t, "data")
		case OpRename:
			c.NewKey = anyKey().Draw(t, "new key")
		}
		return c
	})
}

func anyReceipt() *rapid.Generator[Receipt] {
	return rapid.Custom(func(t *rapid.T) Receipt {
		return Receipt{PartitionID(rapid.Uint32().Draw(t, "partition")), rapid.Uint64().Draw(t, "index"),
			rapid.StringMatching(`[a-z]{0,5}`).Draw(t, "node")}
	})
}

func anyItem() *rapid.Generator[Item] {
	return rapid.Custom(func(t *rapid.T) Item {
		return Item{
			Key: anyBytes(5).Draw(t, "key"), Value: anyValue().Draw(t, "value"),
			Version:  rapid.Uint64().Draw(t, "version"),
			Modified: rapid.Int64().Draw(t, "modified"), Deadline: rapid.Int64().Draw(t, "deadline"),
		}
	})
}

func anyResult() *rapid.Generator[Result] {
	return rapid.Custom(func(t *rapid.T) Result {
		r := Result{
			Outcome: Outcome(rapid.IntRange(1, int(outcomeLimit)-1).Draw(t, "outcome")),
			Created: rapid.Bool().Draw(t, "created"),
			Version: rapid.Uint64().Draw(t, "version"), Number: rapid.Int64().Draw(t, "number"),
			Deadline: rapid.Int64().Draw(t, "deadline"), NowMS: rapid.Int64().Draw(t, "now"),
			Receipt: anyReceipt().Draw(t, "receipt"),
		}
		if rapid.Bool().Draw(t, "has item") {
			r.Item = new(anyItem().Draw(t, "item"))
		}
		return r
	})
}

// roundTrip encodes a word, decodes it and compares.
func roundTrip[T any](t *rapid.T, want T, encoded []byte, read func(*Decoder) T) {
	d := NewDecoder(encoded)
	if got := read(&d); d.End() != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v; want %+v", got, d.End(), want)
	}
}

func TestCommandsRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := anyCommand().Draw(t, "command")
		b := c.AppendTo(nil)
		if len(b) > c.EncodedSize() {
			t.Fatalf("%d bytes, EncodedSize promised at most %d", len(b), c.EncodedSize())
		}
		roundTrip(t, c, b, (*Decoder).ReadCommand)
	})
}

func TestPlainPutsAndDeletesStayCompact(t *testing.T) {
	t.Parallel()
	put := Command{Op: OpPut, Key: []byte("k"), Value: Value{Kind: String, Data: []byte("v")}, Blind: true}
	if got := string(put.AppendTo(nil)); got != "\x01\x01\x00\x01k\x01\x00\x01v" {
		t.Errorf("put is %q", got)
	}
	del := Command{Op: OpDelete, Key: []byte("k")}
	if got := string(del.AppendTo(nil)); got != "\x02\x00\x00\x01k" {
		t.Errorf("delete is %q", got)
	}
}

func TestTransactionsRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tx := Transaction{Commands: rapid.SliceOfN(anyCommand(), 1, 5).Draw(t, "commands")}
		for range rapid.IntRange(0, 3).Draw(t, "watches") {
			tx.Watches = append(tx.Watches, Watch{anyKey().Draw(t, "key"), rapid.Uint64().Draw(t, "version")})
		}
		if rapid.Bool().Draw(t, "bounded") {
			tx.AnswerBytes, tx.Cut = rapid.Int64Range(1, math.MaxInt64).Draw(t, "answer"), rapid.Bool().Draw(t, "cut")
		}
		b := tx.AppendTo(nil)
		if len(b) > tx.EncodedSize() {
			t.Fatalf("%d bytes, EncodedSize promised at most %d", len(b), tx.EncodedSize())
		}
		if d := NewDecoder(b); !d.IsTransaction() {
			t.Fatal("not recognised")
		}
		roundTrip(t, tx, b, (*Decoder).ReadTransaction)
	})
}

func TestResultsRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := anyResult().Draw(t, "result")
		roundTrip(t, r, r.AppendTo(nil), (*Decoder).ReadResult)
		tr := TransactionResult{Conflict: rapid.Bool().Draw(t, "conflict"), TooLarge: rapid.Bool().Draw(t, "too large"),
			Receipt: anyReceipt().Draw(t, "receipt"), Results: rapid.SliceOfN(anyResult(), 1, 4).Draw(t, "results")}
		roundTrip(t, tr, tr.AppendTo(nil), (*Decoder).ReadTransactionResult)
		rr := ReadResult{Receipt: anyReceipt().Draw(t, "receipt"), StalenessMS: rapid.Int64().Draw(t, "staleness"),
			NowMS: rapid.Int64().Draw(t, "now")}
		if rr.Found = rapid.Bool().Draw(t, "found"); rr.Found {
			rr.Item = anyItem().Draw(t, "item")
			rr.Length = int64(len(rr.Item.Value.Data))
		}
		roundTrip(t, rr, rr.AppendTo(nil), (*Decoder).ReadReadResult)
		e := Error{Kind: ErrorKind(rapid.IntRange(1, int(errorKindLimit)-1).Draw(t, "error")),
			Text: rapid.String().Draw(t, "text"), Leader: NodeID(rapid.Uint64().Draw(t, "leader"))}
		roundTrip(t, e, e.AppendTo(nil), func(d *Decoder) Error { return *d.ReadError() })
	})
}

func FuzzDecoder(f *testing.F) {
	for op := OpPut; op < opLimit; op++ {
		c := Command{Op: op, Key: []byte("k"), NewKey: []byte("n"), Value: Value{Kind: String, Data: []byte("1.5")},
			Delta: -1, Offset: 3, Limit: 9, ReturnOld: op%2 == 0}
		if op == OpPut || op == OpExpire {
			c.Expiry = Expiry{ExpiryIn, 1000}
		}
		f.Add(c.AppendTo(nil))
		f.Add((&Transaction{Watches: []Watch{{[]byte("w"), 7}}, Commands: []Command{c, c}}).AppendTo(nil))
		f.Add((&Transaction{AnswerBytes: 300, Cut: true, Commands: []Command{c}}).AppendTo(nil))
	}
	f.Add((&Command{
		Op: OpPut, Key: []byte("k"), Cond: Condition{Kind: CondValue, Value: []byte("was")}, Value: Value{Kind: Binary},
	}).AppendTo(nil))
	res := Result{Outcome: Done, Number: 5, Deadline: 7, NowMS: 6, Item: &Item{Value: Value{Kind: JSON}}}
	f.Add(res.AppendTo(nil))
	f.Add((&TransactionResult{Results: []Result{res}}).AppendTo(nil))
	f.Add((&ReadResult{Found: true, Item: Item{Value: Value{Kind: JSON}}}).AppendTo(nil))
	f.Add((&Error{Kind: Unknown, Text: "x"}).AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := NewDecoder(b)
		if c := d.ReadCommand(); d.Err() == nil {
			d2 := NewDecoder(c.AppendTo(nil))
			if c2 := d2.ReadCommand(); d2.End() != nil || !reflect.DeepEqual(c, c2) {
				t.Fatalf("%+v changed to %+v", c, c2)
			}
			_ = c.Validate(1 << 20)
		}
		d = NewDecoder(b)
		if tx := d.ReadTransaction(); d.Err() == nil {
			d2 := NewDecoder(tx.AppendTo(nil))
			if tx2 := d2.ReadTransaction(); d2.End() != nil || !reflect.DeepEqual(tx, tx2) {
				t.Fatalf("%+v changed to %+v", tx, tx2)
			}
		}
		d = NewDecoder(b)
		d.ReadReadResult()
		d = NewDecoder(b)
		d.ReadResult()
		d = NewDecoder(b)
		d.ReadTransactionResult()
		d = NewDecoder(b)
		d.ReadError()
	})
}
