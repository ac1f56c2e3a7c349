package peer

import (
	"errors"
	"math/rand/v2"
	"net"
	"time"
)

// slowDown sets the time of the next dial. p.mu is held.
func (p *peer) slowDown() {
	p.backoff = min(max(2*p.backoff, minBackoff), maxBackoff)
	// Jitter of a quarter, so that nodes which lost each other at once do not dial in step.
	p.notBefore = p.t.now() + int64(p.backoff) - rand.Int64N(int64(p.backoff)/4)
}

// startDial starts a goroutine that dials, once it is time, and then runs the link. p.mu is
// held.
func (p *peer) startDial() {
	p.dialing = p.t.spawn(p.dial)
}

func (p *peer) dial() {
	if !p.awaitDial() {
		return
	}
	conn, a, err := p.t.connect(p.t.softCtx, p.id, purposeLink)
	p.traffic.dials.Add(1)
	if err != nil {
		p.t.logRefusal(p.id.String(), err)
		p.dialFailed(err)
		return
	}
	p.t.runLink(conn, a, true)
}

// awaitDial waits until a dial is due. It returns false when none is needed any more, because
// the peer came to us meanwhile.
func (p *peer) awaitDial() bool {
	p.mu.Lock()
	wait := p.notBefore - p.t.now()
	p.mu.Unlock()
	if wait > 0 {
		timer := time.NewTimer(time.Duration(wait))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-p.t.softCtx.Done():
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialing = p.current == nil
	return p.dialing
}

// dialFailed ends what waited for the dial, unless the peer has reached us meanwhile, and
// sets the time of the next.
func (p *peer) dialFailed(err error) {
	p.mu.Lock()
	p.dialing = false
	r, refused := errors.AsType[*refusal](err)
	p.refused = ""
	if refused {
		p.backoff = maxBackoff // it will not think otherwise soon
		p.refused = r.Error()
	}
	p.slowDown()
	if timeout, ok := errors.AsType[net.Error](err); ok && len(p.links) == 0 {
		p.silent = timeout.Timeout()
	}
	var ended []call
	unreachable, silent := len(p.links) == 0, p.silent
	if p.current == nil {
		ended = p.dropQueue()
	} else {
		p.notBefore = 0
	}
	p.mu.Unlock()

	for _, c := range ended {
		c.done(nil, errDialFailed)
	}
	if unreachable {
		p.t.opt.Handler.HandleDisconnect(p.id, silent)
	}
}
