package kv

import (
	"testing"

	"pgregory.net/rapid"
)

// The answers are those of Redis 7.
func TestParts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		start, end int64
		want       string
	}{
		{0, -1, "This is a string"}, {0, 3, "This"}, {-3, -1, "ing"}, {10, 100, "string"}, {0, 0, "T"}, {5, 3, ""},
		{-1, -3, ""},
		{16, 20, ""}, {-100, 3, "This"}, {-100, -100, "T"}, {1, -100, ""}, {1 << 62, 1<<63 - 1, ""},
		{-1 << 63, 1<<63 - 1, "This is a string"},
	} {
		p := Part{Kind: RangeOfValue, Start: c.start, End: c.end}
		if got := string(p.Of([]byte("This is a string"))); got != c.want {
			t.Errorf("%d to %d: %q, want %q", c.start, c.end, got, c.want)
		}
		if got := p.Of(nil); len(got) > 0 {
			t.Errorf("%d to %d of nothing: %q", c.start, c.end, got)
		}
	}
	if got := (Part{Kind: NoValue}).Of([]byte("v")); got != nil {
		t.Errorf("nothing of a value is %q", got)
	}
	if got := (Part{}).Of([]byte("v")); string(got) != "v" {
		t.Errorf("all of a value is %q", got)
	}
}

func TestPartEncoding(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := Part{Kind: PartKind(rapid.IntRange(0, int(partKindLimit)-1).Draw(t, "kind"))}
		if p.Kind == RangeOfValue {
			p.Start, p.End = rapid.Int64().Draw(t, "start"), rapid.Int64().Draw(t, "end")
		}
		b := p.AppendTo(nil)
		d := NewDecoder(b)
		if got := d.ReadPart(); got != p || d.End() != nil || len(b) > MaxPartBytes {
			t.Fatalf("%+v became %+v, %v, in %d bytes", p, got, d.Err(), len(b))
		}
	})
	d := NewDecoder([]byte{byte(partKindLimit)})
	if d.ReadPart(); d.Err() == nil {
		t.Error("an unknown kind is taken")
	}
}
