package cache

import (
	"fmt"
	"sync"
	"testing"

	"pxkv/node/kv"
)

func item(v string) kv.Item {
	return kv.Item{Value: kv.Value{Kind: kv.String, Data: []byte(v)}}
}

// entries counts them.
func entries(c *Cache) int {
	n := 0
	for i := range c.stripes {
		s := &c.stripes[i]
		s.mu.Lock()
		n += s.lru.Len()
		s.mu.Unlock()
	}
	return n
}

func TestFillIsRefusedWhenTheKeyChanged(t *testing.T) {
	t.Parallel()
	k := []byte("k")
	cases := []struct {
		name string
		run  func(c *Cache, tok Token)
		kept bool
	}{
		{"nothing happened", func(*Cache, Token) {}, true},
		{"changing", func(c *Cache, _ Token) { c.Begin(0, k) }, false},
		{"changed", func(c *Cache, _ Token) { c.Begin(0, k); c.End(0, k, nil) }, false},
		{"cleared", func(c *Cache, _ Token) { c.Clear() }, false},
	}
	for _, tc := range cases {
		c := New(100)
		_, _, tok := c.Get(k)
		tc.run(c, tok)
		c.Fill(k, item("old"), tok)
		if _, ok, _ := c.Get(k); ok != tc.kept {
			t.Errorf("%s: kept %v, want %v", tc.name, ok, tc.kept)
		}
	}
}

// A read that begins while the key changes may see the new value; another that sees the old
// one must not leave it behind for a third.
func TestNothingIsKeptWhileAKeyChanges(t *testing.T) {
	t.Parallel()
	c, k := New(100), []byte("k")
	c.Begin(0, k)
	_, _, tok := c.Get(k)
	c.Fill(k, item("old"), tok)
	if _, ok, _ := c.Get(k); ok {
		t.Error("kept a value that was read during a change")
	}
	_, _, tok = c.Get(k)
	c.End(0, k, nil)
	c.Fill(k, item("old"), tok)
	if _, ok, _ := c.Get(k); ok {
		t.Error("kept a value that was read during a change, when the change was over")
	}
	_, _, tok = c.Get(k)
	c.Fill(k, item("new"), tok)
	if it, ok, _ := c.Get(k); !ok || string(it.Value.Data) != "new" {
		t.Error("did not keep a value that was read after the change")
	}
}

// What a change wrote is kept, as a copy, and is what a late Fill cannot replace.
func TestWrittenValueIsKept(t *testing.T) {
	t.Parallel()
	c, k := New(100), []byte("k")
	_, _, tok := c.Get(k)
	now := item("new")
	c.Begin(0, k)
	if c.Has(0, k) {
		t.Error("has a key that is changing")
	}
	c.End(0, k, &now)
	c.Fill(k, item("old"), tok)
	if it, ok, _ := c.Get(k); !ok || string(it.Value.Data) != "new" || !c.Has(0, k) {
		t.Errorf("holds %v %q", ok, it.Value.Data)
	}
	c.Begin(0, k)
	c.End(0, k, nil)
	if _, ok, _ := c.Get(k); ok || c.Has(0, k) {
		t.Error("kept what was deleted")
	}
	big := kv.Item{Value: kv.Value{Data: make([]byte, maxValue+1)}}
	c.Begin(0, k)
	c.End(0, k, &big)
	if entries(c) != 0 {
		t.Error("kept a value over the limit")
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	c := New(1600)
	for i := range 10000 {
		k := []byte(fmt.Sprint(i))
		_, _, tok := c.Get(k)
		c.Fill(k, item("v"), tok)
	}
	if n := entries(c); n > 1600 || n < 1000 {
		t.Errorf("%d entries, want at most 1600", n)
	}
	big := kv.Item{Value: kv.Value{Data: make([]byte, maxValue+1)}}
	_, _, tok := c.Get([]byte("big"))
	c.Fill([]byte("big"), big, tok)
	if _, ok, _ := c.Get([]byte("big")); ok {
		t.Error("kept a value over the limit")
	}
	c = New(1 << 20)
	for i := range 3 * maxBytes / maxValue {
		k := []byte(fmt.Sprint(i))
		_, _, tok := c.Get(k)
		c.Fill(k, kv.Item{Value: kv.Value{Data: make([]byte, maxValue-200)}}, tok)
	}
	for i := range c.stripes {
		if b := c.stripes[i].bytes; b > maxBytes/stripes || b < 0 {
			t.Errorf("stripe %d holds %d bytes", i, b)
		}
	}
	if New(0) != nil {
		t.Error("a cache of no entries is not off")
	}
	var off *Cache
	off.Begin(0, nil)
	off.End(0, nil, nil)
	off.Clear()
	off.Fill(nil, kv.Item{}, Token{})
	off.Get(nil)
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	c := New(64)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 5000 {
				k := []byte(fmt.Sprint(i % 100))
				if w == 0 {
					c.Begin(0, k)
					c.End(0, k, nil)
					continue
				}
				if _, ok, tok := c.Get(k); !ok {
					c.Fill(k, item("v"), tok)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkGet(b *testing.B) {
	c, k := New(1000), []byte("key")
	_, _, tok := c.Get(k)
	c.Fill(k, item("value"), tok)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, _ := c.Get(k); !ok {
			b.Fatal("gone")
		}
	}
}

// Of a long value the length is known until its key changes, and the value is not there.
func TestLengthsOfLongValues(t *testing.T) {
	t.Parallel()
	c, k := New(100), []byte("k")
	long := kv.Item{Version: 7, Value: kv.Value{Data: make([]byte, maxValue+1)}}
	fill := func() {
		_, _, tok := c.Get(k)
		c.Fill(k, long, tok)
	}
	left := func(tok Token) { c.FillLong(k, kv.Item{Version: 7}, maxValue+1, tok) }
	for name, keep := range map[string]func(){
		"whole":    fill,
		"left out": func() { _, _, tok := c.Get(k); left(tok) },
	} {
		keep()
		it, length, ok := c.Long(k)
		if !ok || length != maxValue+1 || it.Version != 7 || it.Value.Data != nil {
			t.Errorf("%s: %d bytes, version %d, known: %v", name, length, it.Version, ok)
		}
		if _, ok, _ := c.Get(k); ok {
			t.Errorf("%s: the value is there", name)
		}
		_, _, before := c.Get(k)
		c.Begin(0, k)
		if _, _, ok := c.Long(k); ok {
			t.Errorf("%s: the length is known while the key changes", name)
		}
		short := item("v")
		c.End(0, k, &short)
		left(before) // which was read before the change
		if _, _, ok := c.Long(k); ok {
			t.Errorf("%s: the length is known after the key has changed", name)
		}
		if it, ok, _ := c.Get(k); !ok || string(it.Value.Data) != "v" {
			t.Errorf("%s: the new value is not there", name)
		}
		c.Begin(0, k)
		c.End(0, k, nil)
	}
	_, _, tok := c.Get(k)
	c.FillLong(k, kv.Item{}, maxValue, tok)
	if _, _, ok := c.Long(k); ok {
		t.Error("a value that may be kept counts as long")
	}
	var off *Cache
	off.FillLong(k, kv.Item{}, maxValue+1, Token{})
	if _, _, ok := off.Long(k); ok {
		t.Error("a cache that is off knows a length")
	}
}
