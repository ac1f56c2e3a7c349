package peer

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/kv"
	"pxkv/transport/wiretest"
)

func writing(versions ...uint8) func(*Options) {
	return func(o *Options) {
		var formats []kv.Format
		for i, v := range versions {
			formats = append(formats, kv.Format{Name: fmt.Sprint("format ", i), Writes: v, Oldest: v - min(v-1, 1)})
		}
		o.Formats = func() []kv.Format { return formats }
	}
}

// Two releases of which one cannot read what the other writes do not connect, whoever dials. Both logs
// name both versions, once, and both nodes show it for as long as it is so.
func TestNodesThatCannotReadEachOtherAreRefused(t *testing.T) {
	t.Parallel()
	for name, versions := range map[string][2]uint8{"the dialer is newer": {4, 3}, "the dialer is older": {3, 4}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b book
			var logs [2]logBook
			var regs [2]*prometheus.Registry
			var nodes [2]*node
			for i, v := range versions {
				regs[i] = prometheus.NewRegistry()
				nodes[i] = start(t, &b, kv.NodeID(i+1), &testHandler{}, writing(1, v), logs[i].option,
					func(o *Options) { o.Metrics = regs[i] })
			}
			newer, older := 1, 2 // reads 3 and 4; reads 2 and 3
			if versions[0] == 3 {
				newer, older = older, newer
			}
			reason := fmt.Sprintf("node %016x writes version 4 of format 1, node %016x reads versions 2 to 3", newer,
				older)
			for i := range nodes {
				other := kv.NodeID(2 - i)
				// Each asks again and again, as nodes do.
				wiretest.Eventually(t, "it is shown", func() bool {
					wantErr(t, get(t, ask(t, nodes[i].Transport, other, time.Now().Add(time.Second), nil)).err,
						ErrNotSent)
					return strings.Contains(nodes[i].Refused()[other], reason)
				})
				if n := gauge(t, regs[i], "pxkv_peer_refused", other.String()); n != 1 {
					t.Errorf("node %d: pxkv_peer_refused is %v", i+1, n)
				}
			}
			for i := range nodes {
				// Once for each direction: as the side that refuses, and as the one that is told.
				if n := logs[i].count(reason); n < 1 || n > 2 {
					t.Errorf("node %d names the reason %d times", i+1, n)
				}
				if links(nodes[i].Transport, kv.NodeID(2-i)) != 0 {
					t.Error("there is a link all the same")
				}
			}
		})
	}
}

// What a node does not tell of, as older releases do not, and formats that only one of them has, keep
// nobody apart; nor does an older version that is still read.
func TestFormatsThatCanBeReadConnect(t *testing.T) {
	t.Parallel()
	for name, formats := range map[string][2][]uint8{
		"none told": {{3}, {}}, "one has more": {{3, 1}, {3}}, "the same": {{3, 1}, {3, 1}},
		"sixteen": {make([]uint8, maxFormats), make([]uint8, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b book
			n1 := start(t, &b, 1, &testHandler{}, writing(formats[0]...))
			n2 := start(t, &b, 2, &testHandler{}, writing(formats[1]...))
			if _, err := n1.call(within(t, 30*time.Second), 2, 1, nil); err != nil {
				t.Error(err)
			}
			if len(n1.Refused())+len(n2.Refused()) != 0 {
				t.Error("something is refused")
			}
		})
	}
	older, newer := kv.Format{Writes: 3}, kv.Format{Writes: 4, Oldest: 3}
	if !newer.Reads(3) || older.Reads(4) || newer.Reads(2) {
		t.Error("a node reads what it does not, or the other way round")
	}
}

// A node writes a newer version from some moment on, as when its cluster gets one. Who is in no cluster is refused from
// then on if it cannot read that, though it was connected before. Members were asked before, and keep their links.
func TestWhatANodeWritesLaterIsToldToo(t *testing.T) {
	t.Parallel()
	var b book
	var log logBook
	var version atomic.Uint32
	version.Store(3)
	var members atomic.Int32 // that were disconnected
	h := &testHandler{disconnect: func(id kv.NodeID) {
		if id == 3 {
			members.Add(1)
		}
	}}
	n1 := start(t, &b, 1, h, log.option, func(o *Options) {
		o.Formats = func() []kv.Format {
			return []kv.Format{{Name: "format 0", Writes: uint8(version.Load()), Oldest: 3, Newest: 4}}
		}
	})
	start(t, &b, 2, &testHandler{}, writing(3), func(o *Options) {
		o.Cluster = func() kv.ClusterID { return 0 }
	})
	start(t, &b, 3, &testHandler{}, writing(3))
	for _, id := range []kv.NodeID{2, 3} {
		if _, err := n1.call(within(t, 30*time.Second), id, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	version.Store(4)
	const reason = "writes version 4 of format 0"
	wiretest.Eventually(t, "who is in no cluster is refused", func() bool {
		n1.Send(2, nil)
		return strings.Contains(n1.Refused()[2], reason) && links(n1.Transport, 2) == 0
	})
	if _, err := n1.call(within(t, 30*time.Second), 3, 1, nil); err != nil || n1.Refused()[3] != "" {
		t.Errorf("the member: %v, %s", err, n1.Refused()[3])
	}
	if log.count(reason) == 0 {
		t.Error("the log does not say why")
	}
	if members.Load() != 0 {
		t.Error("the member was disconnected")
	}
}

// A process whose frames turn out to be of another version, although its hello told of nothing, is
// refused from then on, with both versions in both logs. Its next process is tried anew.
func TestAPeerWhoseFramesCannotBeReadIsRefused(t *testing.T) {
	t.Parallel()
	var b book
	var log1, log2 logBook
	const why = "raft frame of version 9, this node reads version 3"
	n1 := start(t, &b, 1, &testHandler{}, log1.option)
	h := &testHandler{unread: func(frame []byte) error {
		if frame[0] == 9 {
			return fmt.Errorf("%s", why)
		}
		return nil
	}}
	n2 := start(t, &b, 2, h, log2.option)
	wiretest.Eventually(t, "both refuse the connection", func() bool {
		n1.Send(2, []byte{9})
		n2.Send(1, []byte{3})
		return strings.Contains(n1.Refused()[2], why) && strings.Contains(n2.Refused()[1], why)
	})
	wiretest.Eventually(t, "no link is left", func() bool { return links(n1.Transport, 2)+links(n2.Transport, 1) == 0 })
	for i, log := range []*logBook{&log1, &log2} {
		if n := log.count("peer connected"); n > 2 {
			t.Errorf("node %d connected %d times", i+1, n)
		}
		if log.count(why) == 0 {
			t.Errorf("the log of node %d does not say why", i+1)
		}
	}
	n1.stop()
	again := start(t, &b, 1, &testHandler{}, incarnation(2))
	if _, err := again.call(within(t, 10*time.Second), 2, 1, nil); err != nil {
		t.Errorf("the next process of the node: %v", err)
	}
}

// gauge returns a figure of a peer, -1 when there is none.
func gauge(t *testing.T, reg *prometheus.Registry, name, peer string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetName() == "peer" && l.GetValue() == peer {
					return m.GetGauge().GetValue()
				}
			}
		}
	}
	return -1
}
