package socket

import (
	"net"
	"time"
)

// FarewellTime is how long a server that stops lets its clients go by themselves, if any are there: so long that a
// client that is busy, with several connections to each of several servers, uses most of them once more and is told;
// and short beside what a stop takes anyway, and what anybody waits for it.
const FarewellTime = 400 * time.Millisecond

// MoreFarewell is how much longer it lets them at most, as long as they go: a client with many connections uses one
// after the other, and needs longer where it is busy or has few processors.
const MoreFarewell = time.Second

// FirstWords is how long a connection on which nothing was said yet is waited for since it was there: whoever connects
// is about to ask something. A client on a busy machine may be held up in between; cut off then, it cannot know that
// nothing was done, and those that send again what finds an old connection closed do not do so with a new one.
const FirstWords = time.Second

const (
	// lookEvery is how often Farewell looks who is still there.
	lookEvery = 5 * time.Millisecond
	// restTime bounds how long the connections are taken that wait in the kernel when no more are to come: there may
	// always be another one.
	restTime = 100 * time.Millisecond
)

// LastLook is how long a serving that is to end looks whether something has arrived that nobody has read. What has
// is read at once; the time is the least that a deadline can have.
const LastLook = time.Millisecond

// Farewell lets clients go by themselves, before Close. For a while connections are taken as ever, then no more. It
// returns when another while is over, and each time at once when no connection is open. Each while begins anew when one
// goes that was there before, for up to MoreFarewell in all. What is said to the clients is the caller's.
func (l *Listener) Farewell(accepting, waiting time.Duration) {
	l.mu.Lock()
	for c := range l.served {
		l.served[c] = true
	}
	l.former = len(l.served)
	l.mu.Unlock()
	end := time.Now().Add(accepting + waiting + MoreFarewell)
	l.awaitNone(accepting, end.Add(-waiting))
	l.StopAccepting()
	l.awaitNone(waiting, end)
}

func (l *Listener) awaitNone(while time.Duration, end time.Time) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	former, since := l.formers(), time.Now()
	for l.Open() > 0 {
		now := <-look.C
		if n := l.formers(); n < former {
			former, since = n, now
		}
		if now.Sub(since) >= while || !now.Before(end) {
			return
		}
	}
}

// formers is how many of those that were there when Farewell began are still being served.
func (l *Listener) formers() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.former
}

// StopAccepting frees the address and ends Serve, which runs or is about to. Who has connected by then is served: to be
// cut off behind the first request is worse than to be refused, since nobody can tell what became of that.
func (l *Listener) StopAccepting() {
	l.mu.Lock()
	if !l.stopping {
		l.stopping = true
		close(l.stopped)
		l.limitAccept(time.Unix(1, 0))
	}
	l.mu.Unlock()
	<-l.ended
}

func (l *Listener) isStopped() bool {
	select {
	case <-l.stopped:
		return true
	default:
		return false
	}
}

func (l *Listener) limitAccept(t time.Time) {
	if bound, ok := l.listener.(interface{ SetDeadline(t time.Time) error }); ok {
		_ = bound.SetDeadline(t)
	}
}

// takeRest takes the connections that wait in the kernel, and frees the address. Between the look that finds none and
// the close there is next to no time: the kernel resets whoever comes in between. So it is done on the goroutine that
// accepts, for which a close by another one would have to wait.
func (l *Listener) takeRest(serve func(net.Conn) (handedOn bool)) {
	l.mu.Lock() // behind StopAccepting
	l.limitAccept(time.Now().Add(restTime))
	l.mu.Unlock()
	for isWaiting(l.listener) {
		c, err := l.listener.Accept()
		if err != nil {
			break
		}
		if !l.admit(c, serve) {
			l.opt.Refused()
		}
	}
	_ = l.listener.Close()
}
