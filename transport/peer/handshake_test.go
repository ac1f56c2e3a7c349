package peer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/transport/wiretest"
)

// logBook is a log that tests read.
type logBook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logBook) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

func (l *logBook) option(o *Options) { o.Logger = slog.New(slog.NewTextHandler(l, nil)) }

// Each case changes the second node so that the two must not talk. Both logs name the reason.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		id     kv.NodeID
		change func(*Options)
		reason string
	}{
		{"other cluster name", 2, func(o *Options) { o.Identity.ClusterName = "prod" },
			`node 0000000000000001 belongs to the cluster named \"test\", node 0000000000000002 to the one named \"prod\"`},
		{"other cluster id", 2, func(o *Options) { o.Cluster = func() kv.ClusterID { return 0xc2 } },
			"node 0000000000000001 belongs to cluster 00000000000000c1, node 0000000000000002 to cluster " +
				"00000000000000c2"},
		{"not admitted", 2, func(o *Options) { o.Admit = func(Remote) error { return errors.New("you were removed") } },
			"node 0000000000000002 does not admit node 0000000000000001: you were removed"},
		{"another node at the address", 3, func(*Options) {},
			"node 0000000000000001 looks for node 0000000000000002, but this is node 0000000000000003"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var b book
			var log1, log2 logBook
			n1 := start(t, &b, 1, &testHandler{}, log1.option)
			n2 := start(t, &b, c.id, &testHandler{}, c.change, log2.option)
			b.set(2, n2.Addr())
			wantErr(t, get(t, ask(t, n1.Transport, 2, time.Time{}, nil)).err, ErrNotSent)
			wiretest.Eventually(t, "both logs name the reason", func() bool {
				return log1.count(c.reason) == 1 && log2.count(c.reason) == 1
			})
			if links(n1.Transport, 2)+links(n2.Transport, 1) != 0 {
				t.Error("there is a link all the same")
			}
		})
	}
}

func TestDialerMayRefuseToo(t *testing.T) {
	t.Parallel()
	var b book
	var log1, log2 logBook
	n1 := start(t, &b, 1, &testHandler{}, log1.option, func(o *Options) {
		o.Admit = func(Remote) error { return errors.New("wrong incarnation") }
	})
	n2 := start(t, &b, 2, &testHandler{}, log2.option)
	wantErr(t, get(t, ask(t, n1.Transport, 2, time.Time{}, nil)).err, ErrNotSent)
	wiretest.Eventually(t, "both logs name the reason", func() bool {
		return log1.count("wrong incarnation") == 1 && log2.count("wrong incarnation") == 1
	})
	if links(n2.Transport, 1) != 0 {
		t.Error("the acceptor has a link with a dialer that refused it")
	}
}

func TestNodeThatReachesItselfOrItsCopy(t *testing.T) {
	t.Parallel()
	var b book
	var log1 logBook
	n1 := start(t, &b, 1, &testHandler{}, log1.option)
	b.set(2, n1.Addr())
	wantErr(t, get(t, ask(t, n1.Transport, 2, time.Time{}, nil)).err, ErrNotSent)
	wiretest.Eventually(t, "the log says that it reached itself", func() bool {
		return log1.count("reached itself") > 0
	})

	var b2 book
	b2.set(2, n1.Addr())
	copied := start(t, &b2, 1, &testHandler{}, incarnation(2))
	b2.set(2, n1.Addr())
	wantErr(t, get(t, ask(t, copied.Transport, 2, time.Time{}, nil)).err, ErrNotSent)
	wiretest.Eventually(t, "the log says that there are two", func() bool {
		return log1.count("two processes run as node") > 0
	})
}

func TestFreshNodesTalkToEverybodyOfTheirName(t *testing.T) {
	t.Parallel()
	var b book
	n1 := start(t, &b, 1, &testHandler{})
	start(t, &b, 2, &testHandler{}, func(o *Options) { o.Cluster = nil })
	if _, err := n1.call(within(t, 30*time.Second), 2, 1, nil); err != nil {
		t.Error(err)
	}
}

func TestRefusalsAreLoggedOnce(t *testing.T) {
	t.Parallel()
	var b book
	var log logBook
	n := start(t, &b, 1, &testHandler{}, log.option)
	for range 20 {
		conn, err := net.Dial("tcp", n.Addr())
		if err != nil {
			t.Fatal(err)
		}
		other := stranger(t, 2, func(o *Options) { o.Identity.ClusterName = "prod" })
		_, err = other.greet(conn, purposeLink, 1)
		if _, refused := errors.AsType[*refusal](err); !refused || !strings.Contains(err.Error(), "prod") {
			t.Fatalf("the dialer learned %v", err)
		}
		conn.Close()
	}
	n.stop() // so that all is logged that will be
	if lines := log.count("peer connection refused"); lines != 1 {
		t.Errorf("20 refusals are %d lines in the log", lines)
	}
}

func TestVersionsThatDoNotOverlap(t *testing.T) {
	t.Parallel()
	tr := stranger(t, 1)
	h := stranger(t, 2).hello(purposeLink, 1)
	if r := tr.judge(h, 2); r != nil {
		t.Fatalf("a good hello is refused: %v", r)
	}
	h.version, h.minVersion = 9, 1
	if r := tr.judge(h, 2); r != nil {
		t.Errorf("a newer node that still speaks our version is refused: %v", r)
	}
	h.version, h.minVersion = 9, 8
	if r := tr.judge(h, 2); r == nil || !strings.Contains(r.Error(), "versions 8 to 9") {
		t.Errorf("a node that is too new is refused with %v", r)
	}
	h.version, h.minVersion = 0, 0
	if r := tr.judge(h, 2); r == nil {
		t.Error("a node of version 0 is not refused")
	}
}

func TestHelloSurvivesTheWireAndLaterVersionsMayAppend(t *testing.T) {
	t.Parallel()
	h := hello{version: 3, minVersion: 2, purpose: purposeSnapshot, want: 4, cluster: 5, node: 6, incarnation: 7,
		name: "a cluster"}
	got, err := decodeHello(append(h.encode()[1:], "more"...))
	if err != nil || got != h {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Whatever does not begin with a proper handshake is closed within the dial timeout.
func TestStrangersAreClosed(t *testing.T) {
	t.Parallel()
	shake := func(content []byte) []byte {
		var buf bytes.Buffer
		if err := writeShake(&buf, content); err != nil {
			t.Fatal(err)
		}
		return buf.Bytes()
	}
	hello := stranger(t, 2).hello(purposeLink, 1).encode()
	damaged := shake(hello)
	damaged[20] ^= 1
	endless := append([]byte(handshakeMagic), 0xff, 0xff, 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(endless[6:], crc32.Checksum(nil, castagnoli))
	for name, bytes := range map[string][]byte{
		"nothing":             nil,
		"HTTP":                []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"half a hello":        shake(hello)[:20],
		"damaged hello":       damaged,
		"endless hello":       endless,
		"short hello":         shake(hello[:10]),
		"accept before hello": shake([]byte{shakeAccept}),
		"hello twice":         append(shake(hello), shake(hello)...),
		"unknown purpose":     shake(stranger(t, 2).hello(99, 1).encode()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b book
			n := start(t, &b, 1, &testHandler{}, func(o *Options) { o.DialTimeout = 100 * time.Millisecond })
			conn, err := net.Dial("tcp", n.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write(bytes); err != nil {
				t.Fatal(err)
			}
			wantClosed(t, conn)
			if links(n.Transport, 2) != 0 {
				t.Error("there is a link")
			}
		})
	}
}

func TestInboundConnectionsAreLimited(t *testing.T) {
	t.Parallel()
	var b book
	n := start(t, &b, 1, &testHandler{}, func(o *Options) { o.MaxInboundConns = 2; o.DialTimeout = 10 * time.Second })
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", n.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	first, _ := dial(), dial()
	wantClosed(t, dial())
	first.Close()
	wiretest.Eventually(t, "the place is free again", func() bool {
		conn := dial()
		_, err := stranger(t, 2).greet(conn, purposeLink, 1)
		return err == nil
	})
}

func TestOptionsReportEveryFault(t *testing.T) {
	t.Parallel()
	_, err := New(Options{MaxPayload: -1, QueueBytes: -1})
	if err == nil {
		t.Fatal("nonsense is accepted")
	}
	for _, want := range []string{
		"listen address", "node id", "cluster name", "handler", "resolve", "payload", "queue",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not mention the %s: %v", want, err)
		}
	}
}
