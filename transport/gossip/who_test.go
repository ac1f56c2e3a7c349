package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"pxkv/node/kv"
)

// shown is a place in a line.
func (p Place) shown() string {
	s := p.Address
	if p.At.IsValid() {
		s += " " + p.At.Addr().String()
	}
	switch {
	case p.ID != 0:
		return fmt.Sprintf("%s: node %d of %s, %d expected, cluster %x", s, uint64(p.ID), p.ClusterName, p.Meta.Expect,
			uint64(p.Meta.Cluster))
	case p.Refused:
		return s + ": nobody"
	case p.Err == nil:
		return s + ": ?"
	}
	return s + ": " + p.Err.Error()
}

// Every address of --join is asked directly, at every place to which a name leads, and what is not
// known is told from what is.
func TestWhoIsAtTheAddressesOfJoin(t *testing.T) {
	bubble(t, func(t *testing.T, net *memNet) {
		resolve := func(_ context.Context, host string) ([]netip.Addr, error) {
			switch host {
			case "all.example":
				return []netip.Addr{
					netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.9"),
				}, nil
			case "self.example":
				return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
			}
			return nil, errors.New("no such host")
		}
		a := startMem(t, net, addr1, Options{
			ID: 1, Meta: Meta{Name: "a", Expect: 3}, Resolve: resolve,
			Join: []string{addr1, "self.example", "all.example:7946", addr3, addr4, "nobody.example:7946"},
		})
		startMem(t, net, addr2, Options{ID: 2, Meta: Meta{Name: "b", Cluster: 0xb}})
		c := startMem(t, net, addr3, Options{ID: 3, ClusterName: "green", Meta: Meta{Name: "c", Expect: 5}})
		silent := net.listen(addr4) // it connects, and nobody reads

		look := func() string {
			var lines []string
			for _, p := range a.Look(t.Context()) {
				lines = append(lines, p.shown())
			}
			return strings.Join(lines, "\n")
		}
		want := `10.0.0.1:7946: node 1 of pxkv, 3 expected, cluster 0
self.example 10.0.0.1: node 1 of pxkv, 3 expected, cluster 0
all.example:7946 10.0.0.1: node 1 of pxkv, 3 expected, cluster 0
all.example:7946 10.0.0.2: node 2 of pxkv, 0 expected, cluster b
all.example:7946 10.0.0.9: nobody
10.0.0.3:7946 10.0.0.3: node 3 of green, 5 expected, cluster 0
10.0.0.4:7946 10.0.0.4: `
		got := look()
		if !strings.HasPrefix(got, want) || !strings.Contains(got, "timeout") ||
			!strings.HasSuffix(got, "nobody.example:7946: no such host") {
			t.Errorf("looked:\n%s\nwant:\n%s", got, want)
		}
		_ = silent.Shutdown()
		if got := look(); !strings.Contains(got, "10.0.0.4:7946 10.0.0.4: nobody") {
			t.Errorf("looked:\n%s", got)
		}

		// What a node says of itself is true at once, and one that cannot be reached is not nobody.
		if err := c.SetMeta(Meta{Name: "c", Cluster: 0xc}); err != nil {
			t.Fatal(err)
		}
		if got := look(); !strings.Contains(got, "node 3 of green, 0 expected, cluster c") {
			t.Errorf("looked:\n%s", got)
		}
		net.isolate(addr3)
		if got := look(); !strings.Contains(got, "10.0.0.3:7946 10.0.0.3: dial timeout") {
			t.Errorf("looked:\n%s", got)
		}
	})
}

// The same with real sockets, of which one belongs to a process that hangs.
func TestWhoIsAtRealAddresses(t *testing.T) {
	t.Parallel()
	hanging, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hanging.Close()
	const gone = "127.0.0.1:1" // a port that nobody is given
	a := startReal(t, 1, "127.0.0.1:0")
	b := startReal(t, 2, "127.0.0.1:0", a.Addr(), hanging.Addr().String(), gone)
	places := b.Look(t.Context())
	if len(places) != 3 || places[0].ID != 1 || places[1].ID != 0 || places[1].Refused || places[1].Err == nil ||
		places[2].ID != 0 || !places[2].Refused {
		t.Errorf("looked: %+v", places)
	}
	within(t, soon, "gossip works beside that", func() bool { return a.sees(2) && b.sees(1) })
}

func TestOddAnswersToWhoAreNotBelieved(t *testing.T) {
	bubble(t, func(t *testing.T, net *memNet) {
		good := startMem(t, net, addr2, Options{ID: 2, Meta: Meta{Name: "b"}})
		answer := good.whoAmI()
		for what, b := range map[string][]byte{
			"nothing":          nil,
			"cut short":        answer[:len(answer)-1],
			"too long":         {0xff, 0xff, 1},
			"another protocol": []byte("HTTP/1.1 400 Bad Request"),
			"later version":    append([]byte{answer[0], answer[1], 2}, answer[3:]...),
			"no id":            append(append([]byte{answer[0], answer[1], 1}, make([]byte, 8)...), answer[11:]...),
			"a long name":      {0, 11, 1, 0, 0, 0, 0, 0, 0, 0, 1, 200, 0},
		} {
			h := net.listen(addr3)
			go func() {
				conn := <-h.streams
				_, _ = io.ReadFull(conn, make([]byte, len(whoQuestion)))
				_, _ = conn.Write(b)
				_ = conn.Close()
			}()
			p := Place{At: netip.MustParseAddrPort(addr3)}
			if err := p.ask(good.transport.Load()); err == nil || p.ID != 0 {
				t.Errorf("%s: %+v, %v", what, p, err)
			}
			_ = h.Shutdown()
		}
		if id, name, m, err := decodeWho(answer[2:]); id != kv.NodeID(2) || name != "pxkv" || m.Name != "b" ||
			err != nil {
			t.Errorf("the own answer is node %v of %q, %+v, %v", id, name, m, err)
		}
	})
}

// Whatever a stream begins with, its reader gets all of it.
func TestStreamsLoseNothingToWhoAsks(t *testing.T) {
	bubble(t, func(t *testing.T, hosts *memNet) {
		tr := newTransport(hosts.listen(addr1), []byte{10, 0, 0, 1}, 7946, func() {}, nobody)
		for _, text := range []string{"x", "pxkvwhat is this", "p", "\xf4\x04pxkv and so on"} {
			there, here := net.Pipe()
			hosts.hosts[netip.MustParseAddrPort(addr1)].streams <- there
			go func() {
				for _, c := range []byte(text) {
					_, _ = here.Write([]byte{c})
				}
				_ = here.Close()
			}()
			if text == "p" {
				continue // it ends before it is known what it is about
			}
			if got, err := io.ReadAll(<-tr.StreamCh()); string(got) != text || err != nil {
				t.Errorf("read %q, %v, want %q", got, err, text)
			}
		}
		_ = tr.Shutdown()
	})
}

// The address that a node advertises is believed to be its own, unless another process answers there. A
// node need not be able to reach itself.
func TestWhoAnswersAtTheOwnAddress(t *testing.T) {
	bubble(t, func(t *testing.T, net *memNet) {
		startMem(t, net, addr2, Options{ID: 2, Meta: Meta{Name: "b", Cluster: 0xb}})
		startMem(t, net, addr3, Options{ID: 1, Meta: Meta{Name: "a", Incarnation: 8}})
		net.listen(addr4) // it connects, and nobody reads
		for i, tc := range []struct{ advertised, want string }{
			{addr1, "10.0.0.1:7946: node 1 of pxkv, 0 expected, cluster 0"}, // nobody is there
			{addr2, "10.0.0.2:7946 10.0.0.2: node 2 of pxkv, 0 expected, cluster b"},
			{addr3, "10.0.0.3:7946 10.0.0.3: node 1 of pxkv, 0 expected, cluster 0"},
			{addr4, "10.0.0.4:7946: node 1 of pxkv, 0 expected, cluster 0"},
		} {
			a := startMem(t, net, fmt.Sprintf("10.0.1.%d:7946", i+1), Options{
				ID: 1, Meta: Meta{
					Name: "a", Incarnation: 7, Addresses: kv.Addresses{Gossip: tc.advertised},
				}, Join: []string{tc.advertised},
			})
			got := a.Look(t.Context())
			if len(got) != 1 || got[0].shown() != tc.want || !got[0].Own ||
				(got[0].Meta.Incarnation == 8) != (tc.advertised == addr3) {
				t.Errorf("at %s: %+v, want %s", tc.advertised, got, tc.want)
			}
		}
	})
}
