package peer

import (
	"bytes"
	"sync/atomic"
	"testing"
)

// What the system does not take at once is written by the writer, from where it stopped, and
// before what was said meanwhile.
func TestEarlyWriteIsFinishedByTheWriter(t *testing.T) {
	t.Parallel()
	for _, part := range []int{0, 1, 2} { // of two: how much the system takes at once
		var b book
		var got atomic.Pointer[[]byte]
		var count atomic.Int64
		n1 := start(t, &b, 1, &testHandler{})
		start(t, &b, 2, &testHandler{frame: func(_ Remote, frame []byte) {
			all := append(bytes.Clone(*got.Load()), frame...)
			got.Store(&all)
			count.Add(1)
		}})
		got.Store(&[]byte{})
		n1.Send(2, []byte("a"))
		eventually(t, "the link is there and idle", func() bool {
			p := n1.Transport.peer(2)
			p.mu.Lock()
			defer p.mu.Unlock()
			return count.Load() == 1 && p.current != nil && p.current.parked
		})
		p := n1.Transport.peer(2)
		p.mu.Lock()
		l := p.current
		l.wrote = -int64(idleAfter)
		real := l.atOnce
		l.atOnce = func(b []byte) int {
			if n := real(b[:part*len(b)/2]); n != part*len(b)/2 {
				t.Errorf("the system took %d bytes of an idle link", n)
			}
			n1.Send(2, []byte("c")) // meanwhile; it takes the peer's lock
			return part * len(b) / 2
		}
		p.mu.Unlock()
		n1.Send(2, []byte("b"))
		eventually(t, "all has arrived", func() bool { return count.Load() == 3 })
		if s := string(*got.Load()); s != "abc" {
			t.Errorf("%d of 2 at once: %q arrived", part, s)
		}
	}
}
