package peer

import (
	"errors"
	"slices"
	"sync"
	"time"

	"pxkv/node/kv"
)

// peer is what the transport keeps about one other node: the queue of what goes there, the
// calls that wait for it, and its links.
//
// Lock order: peer.mu, then Transport.mu. Neither is held while a done function, a Handler
// or an option's function runs.
type peer struct {
	t  *Transport
	id kv.NodeID

	mu       sync.Mutex
	gone     bool    // removed from the transport's map for good: look it up anew
	stopping bool    // nothing new is taken
	used     bool    // since housekeeping looked last
	links    []*link // alive; at most one dialed by each side
	current  *link   // the one that frames and requests take; nil when there is none
	out      fifo    // frames and requests that no link has taken yet
	outBytes int     // cost of out
	calls    calls

	dialing   bool
	backoff   time.Duration // before the next dial but one
	notBefore int64         // no dial before, on the transport's clock

	silent bool // its last link, or the last dial, ended since nothing came: nobody waits for the next one

	foreign foreign // which of its processes is refused, and why
	refused string  // why the last attempt to connect was refused, "" when it was not

	traffic traffic
}

// room reports why nothing of this cost can be queued now, or nil. Where it has to, it starts
// a dial. p.mu is held.
func (p *peer) room(cost int) error {
	p.used = true
	switch {
	case p.stopping:
		return errStopped
	case p.outBytes+cost > p.t.opt.QueueBytes && p.out.len() > 0:
		// A single message may be longer than the queue: MaxPayload bounds it.
		return errQueueFull
	case p.current == nil && p.silent:
		if !p.dialing && p.t.now() >= p.notBefore {
			p.startDial()
		}
		return errQuiet
	case p.current == nil && !p.dialing:
		if p.t.now() < p.notBefore {
			return errUnreachable
		}
		p.startDial()
	}
	return nil
}

// send queues a frame. gone says that p was forgotten meanwhile.
func (p *peer) send(frame []byte) (ok, gone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return false, true
	}
	it := item{typ: typeFrame, payload: frame}
	if len(frame) > p.t.opt.MaxPayload || p.room(it.cost()) != nil {
		p.traffic.droppedFrames.Add(1)
		return false, false
	}
	p.queue(it)
	return true, false
}

// submit queues a request, or returns why it cannot; done is then not called.
func (p *peer) submit(kind uint8, deadline int64, payload []byte, done func([]byte, error)) (gone bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return true, nil
	}
	it := item{typ: typeRequest, code: kind, payload: payload}
	switch {
	case len(payload) > p.t.opt.MaxPayload:
		return false, errTooLarge
	case p.calls.inFlight >= p.t.opt.MaxInFlight:
		return false, errTooMany
	}
	if err := p.room(it.cost()); err != nil {
		return false, err
	}
	it.id = p.calls.add(deadline, done)
	p.queue(it)
	return false, nil
}

func (p *peer) queue(it item) {
	p.out.push(it)
	p.outBytes += it.cost()
	if p.current != nil {
		p.current.kick()
	}
}

// answered ends a call with the peer's response.
func (p *peer) answered(l *link, id uint64, status uint8, payload []byte) {
	p.mu.Lock()
	s := p.calls.get(id)
	if s == nil || s.link != l {
		p.mu.Unlock()
		return // it ended before: the time limit passed
	}
	c, _ := p.calls.end(id)
	l.kickIfRetiring()
	p.mu.Unlock()

	switch status {
	case statusOK:
		c.done(payload, nil)
	case statusError:
		c.done(nil, &RemoteError{Text: string(payload)})
	case statusNotProcessed:
		c.done(nil, errRefusedHere)
	case statusDropped:
		c.done(nil, errDroppedHere)
	default: // statusLost, and what later versions may say
		c.done(nil, errDropped)
	}
}

// expire ends the calls whose deadline has passed and returns the earliest deadline left.
func (p *peer) expire(now int64) (earliest int64, any bool) {
	p.mu.Lock()
	ended := p.calls.expire(now)
	for _, c := range ended {
		if c.link != nil {
			c.link.kickIfRetiring()
		}
	}
	earliest, any = p.calls.earliest, p.calls.inFlight > 0
	p.mu.Unlock()
	for _, c := range ended {
		if c.link == nil {
			c.done(nil, errExpired)
		} else {
			c.done(nil, errLate)
		}
	}
	return earliest, any
}

// livesAs reports whether a link with another process of the peer is alive: one with another
// incarnation. Two such are a node and a copy of it, and the first one goes on.
func (p *peer) livesAs(other uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.twin(other)
}

func (p *peer) twin(incarnation uint64) bool {
	return !copyLinked && slices.ContainsFunc(p.links, func(l *link) bool {
		return !l.dead && l.remote.Incarnation != incarnation
	})
}

// attach makes l one of the peer's links. It replaces a link that the same side dialed,
// for that side dials only when it has none, and dead ones with another incarnation. It returns
// false when one of those is alive, when the transport stops, or when p is gone.
func (p *peer) attach(l *link) (ok, gone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.dialed {
		p.dialing = false
	}
	if p.gone || p.stopping || p.twin(l.remote.Incarnation) {
		return false, p.gone
	}
	p.notBefore, p.refused, p.silent = 0, "", false
	if !l.dialed {
		p.backoff = 0 // it is alive and looks for us
	}
	former := p.links
	p.links = append(p.links, l) // first: the others leave no gap, so that none of them counts as a failed dial
	for _, old := range former {
		switch {
		case old.remote.Incarnation != l.remote.Incarnation:
			old.close(errRestarted)
		case old.dialed == l.dialed:
			old.close(errReplaced)
		}
	}
	p.choose()
	return true, false
}

// choose picks the current link: the one dialed by the smaller node id if it is usable,
// else any. Both ends choose the same, so that one link carries everything. p.mu is held.
func (p *peer) choose() {
	p.current = nil
	for _, l := range p.links {
		if l.usable() && (p.current == nil || l.preferred()) {
			p.current = l
		}
	}
	if p.current != nil && p.out.len() > 0 {
		p.current.kick()
	}
}

// rehome chooses the current link anew after one was lost, and dials when none is left for
// what is queued. p.mu is held.
func (p *peer) rehome() {
	p.choose()
	if p.current == nil && p.out.len() > 0 && !p.dialing && !p.stopping {
		p.startDial()
	}
}

// detach forgets a link whose goroutines have ended, and ends the calls that were written
// to it. What is still queued takes another link, or a new one.
func (p *peer) detach(l *link) {
	p.mu.Lock()
	for i, other := range p.links {
		if other == l {
			p.links = append(p.links[:i], p.links[i+1:]...)
			break
		}
	}
	p.t.opt.Budget.Give(int(l.replyBytes.Swap(0))) // of the answers that were not written
	var ended []call
	if l.sentCalls > 0 {
		ended = p.calls.endAll(func(s *slot) bool { return s.link == l })
	}
	var dropped []call
	if p.stopping {
		dropped = p.dropQueue() // what the writer gave back comes too late for a new home
	}
	last := len(p.links) == 0
	if p.silent = last && errors.Is(l.deadCause, errSilent); p.silent {
		dropped = append(dropped, p.dropQueue()...)
	}
	p.rehome()
	silent := p.silent
	p.mu.Unlock()

	for _, c := range ended {
		c.done(nil, errBroken)
	}
	for _, c := range dropped {
		c.done(nil, errBrokenEarly)
	}
	if last {
		p.t.opt.Handler.HandleDisconnect(p.id, silent)
	}
}

// dropQueue empties the queue and ends all calls in it. p.mu is held; the caller calls done
// with an ErrNotSent after releasing it.
func (p *peer) dropQueue() []call {
	for p.out.len() > 0 {
		if p.out.pop().typ == typeFrame {
			p.traffic.droppedFrames.Add(1)
		}
	}
	p.outBytes = 0
	return p.calls.endAll(func(s *slot) bool { return s.link == nil })
}

// retire begins the orderly end at the stop of the transport: nothing new is taken, what is
// queued was not sent, and the links wait for the answers in flight.
func (p *peer) retire() {
	p.mu.Lock()
	p.stopping = true
	ended := p.dropQueue()
	for _, l := range p.links {
		l.retire()
	}
	p.mu.Unlock()
	for _, c := range ended {
		c.done(nil, errStopping)
	}
}

// closeLinks breaks all links with the peer.
func (p *peer) closeLinks(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.links {
		l.close(why)
	}
}
