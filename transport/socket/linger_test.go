package socket

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// The bounds hold whatever the client does.
func TestDiscardIsBounded(t *testing.T) {
	t.Parallel()
	const most = 4 << 20
	never := func() bool { return false }
	for name, c := range map[string]struct {
		size  int           // of each piece
		every time.Duration // between pieces
		over  func() bool
		least time.Duration
		most  time.Duration
		bytes int
	}{
		"silent":           {0, time.Hour, never, lingerPause, lingerPause, 0},
		"slow":             {1, lingerPause / 2, never, lingerTime, lingerTime, 64},
		"fast":             {1 << 20, 0, never, 0, 0, most + 8<<10},
		"the server stops": {1, lingerPause / 2, func() bool { return true }, 0, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			sent, done := 0, make(chan struct{})
			go func() {
				defer close(done)
				for {
					time.Sleep(c.every)
					n, err := there.Write(make([]byte, c.size))
					if sent += n; err != nil {
						return
					}
				}
			}()
			began := time.Now()
			Discard(here, make([]byte, 8<<10), most, c.over)
			took := time.Since(began)
			here.Close()
			<-done
			if took < c.least || took > c.most || sent > c.bytes {
				t.Errorf("%s: %v, %d bytes", name, took, sent)
			}
		})
	}
}
