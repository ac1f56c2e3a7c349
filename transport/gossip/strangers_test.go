package gossip

import (
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/kv"
)

func TestStrangersAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T, net *memNet) {
		reg := prometheus.NewRegistry()
		a := startMem(t, net, addr1, Options{ID: 1, Meta: Meta{Cluster: 0xaaa, Name: "a"}, Metrics: reg})
		b := startMem(t, net, addr2, Options{ID: 2, Meta: Meta{Cluster: 0xbbb, Name: "b"}, Join: []string{addr1}})
		never(t, time.Minute, "nodes of two clusters met", func() bool { return len(a.Peers())+len(b.Peers()) > 0 })
		for _, n := range []*testNode{a, b} {
			// Once a minute, though b knocks once a second.
			if got := n.log.count("another cluster", "0000000000000aaa", "0000000000000bbb"); got < 1 || got > 2 {
				t.Errorf("node %d has %d lines that name both clusters, want 1 or 2", n.id, got)
			}
		}
		if n := counted(t, reg, "pxkv_gossip_refused_total", refusedCluster); n < 10 {
			t.Errorf("%v refusals counted", n)
		}
	})
}

// A fresh node that was given addresses of two clusters meets both, and introduces them to
// nobody. When it has become a member of one, it and the other are strangers.
func TestAFreshNodeMeetsAnyone(t *testing.T) {
	bubble(t, func(t *testing.T, net *memNet) {
		a := startMem(t, net, addr1, Options{ID: 1, Meta: Meta{Cluster: 0xaaa, Name: "a"}})
		b := startMem(t, net, addr2, Options{ID: 2, Meta: Meta{Cluster: 0xbbb, Name: "b"}})
		f := startMem(t, net, addr3, Options{ID: 3, Meta: Meta{Name: "f"}, Join: []string{addr1, addr2}})
		within(t, 15*time.Second, "the fresh node meets both", func() bool {
			return f.sees(1, 2) && a.sees(3) && b.sees(3)
		})
		never(t, time.Minute, "the clusters met", func() bool { return !a.sees(3) || !b.sees(3) })

		if err := f.SetMeta(Meta{Cluster: 0xaaa, Name: "f"}); err != nil {
			t.Fatal(err)
		}
		within(t, 3*time.Second, "it has only its own cluster", func() bool {
			return f.sees(1) && a.sees(3) && b.sees()
		})
		if _, ok := b.Lookup(3); ok {
			t.Error("b still knows what the fresh node said")
		}
		never(t, time.Minute, "it met the other cluster again", func() bool {
			return !f.sees(1) || !a.sees(3) || !b.sees()
		})
	})
}

func TestClustersOfDifferentNamesNeverMix(t *testing.T) {
	bubble(t, func(t *testing.T, net *memNet) {
		a := startMem(t, net, addr1, Options{ID: 1, ClusterName: "blue", Join: []string{addr2}})
		b := startMem(t, net, addr2, Options{ID: 2, ClusterName: "green", Join: []string{addr1}})
		never(t, time.Minute, "they met", func() bool { return len(a.Peers())+len(b.Peers()) > 0 })
		if n := a.log.count("unacceptable label"); n < 1 || n > 2 {
			t.Errorf("%d lines about it in a minute, want 1 or 2", n)
		}
	})
}

// A node whose words make no sense is no peer, and hurts nobody.
func TestBadMetaIsIgnored(t *testing.T) {
	good, err := encodeMeta(Meta{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, name string
		meta       []byte
	}{
		{"no meta", kv.NodeID(9).String(), nil},
		{"meta of a later version", kv.NodeID(9).String(), append([]byte{2}, good[1:]...)},
		{"meta cut short", kv.NodeID(9).String(), good[:len(good)-1]},
		{"a name that is no id", "db-1", good},
		{"an id not written as ids are", "9", good},
		{"the id of no node", kv.NodeID(0).String(), good},
	} {
		t.Run(c.what, func(t *testing.T) {
			bubble(t, func(t *testing.T, net *memNet) {
				a, b, _ := startThree(t, net)
				conf := memberlist.DefaultLANConfig()
				conf.Name, conf.Label, conf.Transport = c.name, "pxkv", net.listen(addr4)
				conf.Delegate = rawMeta(c.meta)
				conf.LogOutput = &testLog{}
				odd, err := memberlist.Create(conf)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = odd.Shutdown() }()
				if _, err := odd.Join([]string{addr1}); err != nil {
					t.Fatal(err)
				}
				never(t, time.Minute, "it is a peer, or the others are not", func() bool {
					return !a.sees(2, 3) || !b.sees(1, 3)
				})
				if n := a.log.count("is ignored", c.name); n < 1 || n > 2 {
					t.Errorf("%d lines about it in a minute, want 1 or 2", n)
				}
			})
		})
	}
}

// rawMeta is a memberlist.Delegate that says just these bytes.
type rawMeta []byte

func (m rawMeta) NodeMeta(int) []byte { return m }

func (rawMeta) NotifyMsg([]byte) {}

func (rawMeta) GetBroadcasts(int, int) [][]byte { return nil }

func (rawMeta) LocalState(bool) []byte { return nil }

func (rawMeta) MergeRemoteState([]byte, bool) {}
