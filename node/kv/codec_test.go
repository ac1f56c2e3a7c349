package kv

import (
	"reflect"
	"testing"
)

func TestCodecRoundTrips(t *testing.T) {
	t.Parallel()
	commands := []Command{
		{Op: OpPut, Key: []byte("k"), Value: Value{Kind: String, Data: []byte("v")}, Blind: true},
		{Op: OpPut, Key: []byte("k"), Value: Value{Kind: Binary, ContentType: "image/png", Data: []byte{0, 255}}, Cond: Condition{CondVersion, 1 << 60}},
		{Op: OpDelete, Key: []byte{0}, Cond: Condition{Kind: CondPresent}},
	}
	for _, want := range commands {
		b := want.AppendTo(nil)
		if len(b) > want.EncodedSize() {
			t.Errorf("%v: %d bytes, EncodedSize promised at most %d", want, len(b), want.EncodedSize())
		}
		d := NewDecoder(b)
		got := d.ReadCommand()
		if err := d.End(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
	res := Result{Outcome: Done, Created: true, Version: 9, Receipt: Receipt{Partition: 3, Index: 1 << 40, Node: "n1"}}
	d := NewDecoder(res.AppendTo(nil))
	if got := d.ReadResult(); got != res || d.End() != nil {
		t.Errorf("got %+v, want %+v", got, res)
	}
	rr := ReadResult{Found: true, Item: Item{Key: []byte{}, Value: Value{Kind: JSON, Data: []byte("1")}, Version: 2, Modified: 3, Deadline: 4}, StalenessMS: -1, Receipt: res.Receipt}
	d = NewDecoder(rr.AppendTo(nil))
	if got := d.ReadReadResult(); !reflect.DeepEqual(got, rr) || d.End() != nil {
		t.Errorf("got %+v, want %+v", got, rr)
	}
	e := &Error{Kind: NotLeader, Text: "elsewhere", Leader: 7}
	d = NewDecoder(e.AppendTo(nil))
	if got := d.ReadError(); *got != *e || d.End() != nil {
		t.Errorf("got %+v, want %+v", got, e)
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add((&Command{Op: OpPut, Key: []byte("k"), Value: Value{Kind: String, Data: []byte("v")}}).AppendTo(nil))
	f.Add((&ReadResult{Found: true, Item: Item{Value: Value{Kind: JSON}}}).AppendTo(nil))
	f.Add((&Error{Kind: Unknown, Text: "x"}).AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := NewDecoder(b)
		if c := d.ReadCommand(); d.Err() == nil {
			d2 := NewDecoder(c.AppendTo(nil))
			if c2 := d2.ReadCommand(); d2.End() != nil || !reflect.DeepEqual(c, c2) {
				t.Fatalf("%+v changed to %+v", c, c2)
			}
		}
		d = NewDecoder(b)
		d.ReadReadResult()
		d = NewDecoder(b)
		d.ReadResult()
		d = NewDecoder(b)
		d.ReadError()
	})
}
