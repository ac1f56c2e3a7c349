package gossip

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hashicorp/memberlist"
	"pgregory.net/rapid"

	_ "pxkv/deploy/properties"
	"pxkv/node/kv"
)

func TestMetaRoundTrip(t *testing.T) {
	t.Parallel()
	text := rapid.StringN(0, -1, 60)
	rapid.Check(t, func(t *rapid.T) {
		m := Meta{
			Cluster: kv.ClusterID(rapid.Uint64().Draw(t, "cluster")),
			Name:    rapid.StringN(1, -1, MaxNameBytes).Draw(t, "name"),
			Addresses: kv.Addresses{HTTP: text.Draw(t, "http"), RESP: text.Draw(t, "resp"),
				Peer: text.Draw(t, "peer"), Gossip: text.Draw(t, "gossip")},
			Epoch:       kv.Epoch(rapid.Uint64().Draw(t, "epoch")),
			Incarnation: rapid.Uint64().Draw(t, "incarnation"),
			Expect:      rapid.IntRange(0, maxExpect).Draw(t, "expect"),
		}
		b, err := encodeMeta(m)
		if err != nil {
			t.Fatal(err)
		}
		for _, encoded := range [][]byte{b, append(b, "a field of a later release"...)} {
			if got, err := decodeMeta(encoded); err != nil || got != m {
				t.Fatalf("%+v became %+v, %v", m, got, err)
			}
		}
		for n := range b {
			if got, err := decodeMeta(b[:n]); err == nil {
				t.Fatalf("the first %d of %d bytes became %+v", n, len(b), got)
			}
		}
	})
}

// These bytes are what nodes of all releases send each other.
func TestMetaFormat(t *testing.T) {
	t.Parallel()
	b, err := encodeMeta(Meta{
		Cluster: 1, Name: "n1", Epoch: 300, Incarnation: 2, Expect: 3,
		Addresses: kv.Addresses{HTTP: "h:1", Peer: "p:2", Gossip: "g:3"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "\x01" + "\x00\x00\x00\x00\x00\x00\x00\x01" + "\x00\x00\x00\x00\x00\x00\x00\x02" +
		"\xac\x02" + "\x03" + "\x02n1" + "\x03h:1" + "\x00" + "\x03p:2" + "\x03g:3"
	if string(b) != want {
		t.Errorf("encoded as %q, want %q", b, want)
	}
}

func TestMetaThatCannotBeSaid(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 125)
	for _, c := range []struct {
		meta Meta
		want string
	}{
		{Meta{}, "node name"},
		{Meta{Name: strings.Repeat("a", MaxNameBytes+1)}, "node name"},
		{Meta{Name: "\xff"}, "UTF-8"},
		{Meta{Name: "a", Expect: -1}, "expected number"},
		{Meta{Name: "a", Expect: maxExpect + 1}, "expected number"},
		{Meta{Name: "a", Addresses: kv.Addresses{Peer: strings.Repeat("a", maxAddressBytes+1)}}, "peer address"},
		{Meta{Name: "a", Addresses: kv.Addresses{RESP: "\xff"}}, "resp address"},
		{Meta{
			Name: "a", Addresses: kv.Addresses{HTTP: long, RESP: long, Peer: long, Gossip: long},
		}, "bytes too long together"},
	} {
		if b, err := encodeMeta(c.meta); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %x, %v; want an error about the %s", c.meta, b, err, c.want)
		}
	}
}

func TestDecodeMetaIsBounded(t *testing.T) {
	t.Parallel()
	good, err := encodeMeta(Meta{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeMeta(append(good, make([]byte, memberlist.MetaMaxSize)...)); err == nil {
		t.Error("meta that is too long is decoded")
	}
}

func FuzzDecodeMeta(f *testing.F) {
	for _, m := range []Meta{{Name: "a"}, {Cluster: 1, Name: "n1", Epoch: 1 << 40, Incarnation: 1 << 63, Expect: 5,
		Addresses: kv.Addresses{HTTP: "a:1", RESP: "b:2", Peer: "c:3", Gossip: "d:4"}}} {
		b, err := encodeMeta(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(append(b, 1, 2, 3))
	}
	f.Add([]byte{metaVersion})
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMeta(b)
		if err != nil {
			return
		}
		if !utf8.ValidString(m.Name) || len(m.Name) == 0 {
			t.Errorf("bad name %q was let through", m.Name)
		}
		again, err := encodeMeta(m)
		if err != nil {
			t.Fatalf("%x was decoded to %+v, which cannot be encoded: %v", b, m, err)
		}
		if back, err := decodeMeta(again); err != nil || back != m {
			t.Errorf("%+v became %+v, %v", m, back, err)
		}
	})
}
