package gossip

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pxkv/node/kv"
)

// These tests use real sockets on 127.0.0.1, and real time.

const soon = 15 * time.Second // this machine may be busy

// startReal runs a node on the loopback network, at any port unless bind says which.
func startReal(t *testing.T, id kv.NodeID, bind string, join ...string) *testNode {
	t.Helper()
	return startNode(t, Options{
		ID: id, Bind: bind, Join: join, ProbeInterval: 200 * time.Millisecond, AloneInterval: 100 * time.Millisecond,
	})
}

func TestRealNodesFindAndMissEachOther(t *testing.T) {
	t.Parallel()
	a := startReal(t, 1, "127.0.0.1:0")
	b := startReal(t, 2, "localhost:0", a.Addr())
	c := startReal(t, 3, "127.0.0.1:0", b.Addr())
	within(t, soon, "all three see each other", func() bool { return a.sees(2, 3) && b.sees(1, 3) && c.sees(1, 2) })
	if p, _ := c.Lookup(1); p.Meta.Addresses.Gossip != a.Addr() {
		t.Errorf("a says it is at %q, and is at %q", p.Meta.Addresses.Gossip, a.Addr())
	}

	if err := b.SetMeta(Meta{Name: "b", Epoch: 5}); err != nil {
		t.Fatal(err)
	}
	within(t, soon, "the new epoch is heard", func() bool {
		p, _ := a.Lookup(2)
		q, _ := c.Lookup(2)
		return p.Meta.Epoch == 5 && q.Meta.Epoch == 5
	})
	b.stop()
	within(t, soon, "the stopped node is missed", func() bool { return a.sees(3) && c.sees(1) })
}

func TestRealNodesRestartOnTheSamePorts(t *testing.T) {
	t.Parallel()
	a := startReal(t, 1, "127.0.0.1:0")
	b := startReal(t, 2, "127.0.0.1:0", a.Addr())
	within(t, soon, "they see each other", func() bool { return a.sees(2) && b.sees(1) })
	a.stop()
	b.stop()
	// Run has returned: the ports must be free again.
	a = startReal(t, 1, a.Addr(), b.Addr())
	b = startReal(t, 2, b.Addr(), a.Addr())
	within(t, soon, "they see each other again", func() bool { return a.sees(2) && b.sees(1) })
}

func TestRealNodesOfOtherClustersDoNotMeet(t *testing.T) {
	t.Parallel()
	start := func(id kv.NodeID, name string, cluster kv.ClusterID, join ...string) *testNode {
		return startNode(t, Options{
			ID: id, ClusterName: name, Bind: "127.0.0.1:0", Join: join, AloneInterval: 50 * time.Millisecond,
			Meta: Meta{Name: fmt.Sprint(id), Cluster: cluster},
		})
	}
	a := start(1, "blue", 0xa)
	b := start(2, "blue", 0xb, a.Addr())
	c := start(3, "green", 0xa, a.Addr())
	d := start(4, "blue", 0xa, a.Addr())
	within(t, soon, "those of one cluster meet", func() bool { return a.sees(4) && d.sees(1) })
	within(t, soon, "strangers are noticed", func() bool {
		return a.log.count("another cluster", "000000000000000b") > 0 && a.log.count("unacceptable label") > 0
	})
	if !a.sees(4) || !b.sees() || !c.sees() {
		t.Errorf("strangers met: %v %v %v", a.Peers(), b.Peers(), c.Peers())
	}
}

func TestAPortInUseIsAnError(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	g, err := New(Options{ID: 1, ClusterName: "pxkv", Bind: taken.Addr().String(), Meta: Meta{Name: "a"}})
	if err != nil {
		t.Fatal(err)
	}
	err = g.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), taken.Addr().String()) ||
		!strings.Contains(err.Error(), "address already in use") {
		t.Errorf("Run: %v", err)
	}
	if g.Addr() != "" {
		t.Errorf("it listens on %s", g.Addr())
	}
}

func TestAllAddressesAdvertiseOneThatCanBeDialled(t *testing.T) {
	t.Parallel()
	for _, bind := range []string{":0", "0.0.0.0:0"} {
		n := startNode(t, Options{ID: 1, Bind: bind})
		p, _ := n.Lookup(1)
		if got := n.Addr(); !strings.HasPrefix(got, "[::]:") {
			t.Errorf("bound to %s it says that it listens on %s", bind, got)
		}
		at, err := netip.ParseAddrPort(p.Meta.Addresses.Gossip)
		if err != nil || at.Addr().IsUnspecified() || at.Port() == 0 {
			t.Errorf("bound to %s it says it is at %q", bind, p.Meta.Addresses.Gossip)
		}
		conn, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Errorf("bound to %s: %v", bind, err)
			continue
		}
		_ = conn.Close()
	}
}

func TestMostReachable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ given, want string }{
		{"127.0.1.1", "127.0.1.1"},
		{"127.0.1.1 10.0.0.1", "10.0.0.1"},
		{"::1 fe80::1 2001:db8::1 192.168.0.1 10.0.0.1", "192.168.0.1"},
		{"::1 fe80::1 2001:db8::1", "2001:db8::1"},
		{"::1 fe80::1", "fe80::1"},
	} {
		var ips []netip.Addr
		for s := range strings.FieldsSeq(c.given) {
			ips = append(ips, netip.MustParseAddr(s))
		}
		if got := mostReachable(ips); got.String() != c.want {
			t.Errorf("of %s the most reachable is %v, want %s", c.given, got, c.want)
		}
	}
}
