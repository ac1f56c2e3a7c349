package gossip

import (
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pxkv/node/kv"
)

// openStream makes a peer connect to t, and returns both ends as memberlist and the peer have
// them; ours is nil when it was refused.
func openStream(t *testing.T, h *memHost, tr *transport) (ours, theirs net.Conn) {
	t.Helper()
	there, here := net.Pipe()
	h.streams <- there
	go func() { _, _ = here.Write([]byte{0}) }()
	select {
	case ours = <-tr.StreamCh():
	case <-time.After(time.Second):
	}
	return ours, here
}

func nobody() []byte { return nil }

func TestStreamsAreBoundedInNumber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newMemNet().listen(addr1)
		var refused atomic.Int64
		tr := newTransport(h, net.IPv4(10, 0, 0, 1), 7946, func() { refused.Add(1) }, nobody)
		var open []net.Conn
		for range maxStreams {
			ours, _ := openStream(t, h, tr)
			if ours == nil {
				t.Fatalf("only %d streams can be open", len(open))
			}
			open = append(open, ours)
		}
		ours, theirs := openStream(t, h, tr)
		if ours != nil || refused.Load() != 1 {
			t.Fatalf("the stream above the limit is open, %d refused", refused.Load())
		}
		if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the refused stream is not closed: %v", err)
		}
		if err := errors.Join(open[0].Close(), open[0].Close()); err != nil {
			t.Error(err)
		}
		if ours, theirs = openStream(t, h, tr); ours == nil {
			t.Fatal("a closed stream does not make room")
		}

		// Shutdown closes what is open, and nothing can be opened after it.
		if err := errors.Join(tr.Shutdown(), tr.Shutdown()); err != nil {
			t.Error(err)
		}
		if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("a stream outlives its transport: %v", err)
		}
		if _, err := tr.DialTimeout(addr2, time.Second); !errors.Is(err, errShutdown) {
			t.Errorf("dial after shutdown: %v", err)
		}
	})
}

func TestStreamsAreBoundedInLength(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newMemNet().listen(addr1)
		tr := newTransport(h, net.IPv4(10, 0, 0, 1), 7946, func() {}, nobody)
		ours, theirs := openStream(t, h, tr)
		go func() {
			for {
				if _, err := theirs.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}()
		n, err := io.Copy(io.Discard, ours)
		if n != maxStreamBytes || !errors.Is(err, errStreamLimit) {
			t.Errorf("read %d bytes, %v", n, err)
		}
		if err := tr.Shutdown(); err != nil {
			t.Error(err)
		}
	})
}

func TestPeersAreBounded(t *testing.T) {
	t.Parallel()
	p := newPeers(0)
	at := netip.MustParseAddrPort(addr1)
	const last = maxKnown + 100
	for id := kv.NodeID(1); id <= last; id++ {
		p.up(Peer{ID: id}, at)
		p.down(id)
	}
	if len(p.known) != maxKnown {
		t.Errorf("%d peers are known, limit %d", len(p.known), maxKnown)
	}
	if _, _, ok := p.lookup(100); ok {
		t.Error("one that went long ago is known")
	}
	if _, alive, ok := p.lookup(last); !ok || alive {
		t.Error("the one that went last is not known")
	}
	for id := kv.NodeID(1); id <= maxPeers; id++ {
		if !p.hasRoom(id) {
			t.Fatalf("no room for peer %d", id)
		}
		p.up(Peer{ID: id}, at)
	}
	if p.hasRoom(maxPeers + 1) {
		t.Error("there is room for too many")
	}
	if !p.hasRoom(1) {
		t.Error("one that is alive already has no room to say something new")
	}
	if p.down(1); !p.hasRoom(maxPeers + 1) {
		t.Error("no room after one went")
	}
}

func TestWarningsOfMemberlistAreRare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &testLog{}
		w := &logWriter{log: out.logger(slog.LevelDebug), limiter: newLimiter(time.Minute)}
		l := log.New(w, "", 0)
		for range 100 {
			l.Print("[ERR] memberlist: Failed to send gossip to 10.0.0.1:7946: no route")
			l.Print("[WARN] memberlist: Refuting a suspect message (from: 0000000000000001)")
			l.Print("[DEBUG] memberlist: Stream connection from=10.0.0.1:1")
			l.Print("[WARN] memberlist: ignoring alive message for '1': refused")
			l.Print("no level")
			time.Sleep(time.Second)
		}
		for _, c := range []struct {
			text     string
			warnings int
		}{
			{"Failed to send gossip", 2}, {"Refuting a suspect", 2}, {"Stream connection", 0}, {"ignoring alive", 0},
			{"no level", 0},
		} {
			if got := out.count("level=WARN", c.text); got != c.warnings {
				t.Errorf("%d warnings %q in 100 s, want %d", got, c.text, c.warnings)
			}
			if got := out.count(c.text); got != 100 {
				t.Errorf("%d lines %q in all, want 100", got, c.text)
			}
		}
		w.quiet.Store(true)
		time.Sleep(time.Hour)
		l.Print("[ERR] memberlist: Failed to send gossip to 10.0.0.1:7946: closed")
		if got := out.count("level=WARN", "closed"); got != 0 {
			t.Error("it complains of its own shutdown")
		}
	})
}

func TestLimiterIsBounded(t *testing.T) {
	t.Parallel()
	l := newLimiter(time.Hour)
	for i := range 10 * maxLimited {
		if !l.allow(strings.Repeat("x", i)) {
			t.Fatal("something new is not let through")
		}
	}
	if len(l.last) > maxLimited {
		t.Errorf("it remembers %d things, limit %d", len(l.last), maxLimited)
	}
}
