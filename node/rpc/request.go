package rpc

import (
	"context"
	"sync"

	"pxkv/node/kv"
)

// Request is one request to another node: set its fields, Send it, then Wait. When the other certainly did not get
// it, it goes by way of a third node: it is never sent twice otherwise.
type Request struct {
	To      kv.NodeID
	Kind    uint8
	Payload []byte
	// Direct: no third node passes it on, since a node speaks for itself in it.
	Direct bool
	Tally  Tally

	box    *mailbox
	cut    bool        // the other could not be asked directly when it was sent
	via    kv.NodeID   // the third node that has it; 0: it went directly
	thirds []kv.NodeID // who may lead there besides
}

// Send sends the request. ctx has a deadline.
func (c *Client) Send(ctx context.Context, r *Request) {
	if via, cut := c.ways.around(r.To); cut && !r.Direct {
		r.cut = true
		r.thirds = c.fewThirds(r.To, via)
	}
	c.send(ctx, r, r.nextThird())
}

// nextThird takes the next third node; 0: there is none left.
func (r *Request) nextThird() (third kv.NodeID) {
	if len(r.thirds) > 0 {
		third, r.thirds = r.thirds[0], r.thirds[1:]
	}
	return third
}

func (c *Client) send(ctx context.Context, r *Request, via kv.NodeID) {
	deadline, _ := ctx.Deadline()
	r.via, r.box = via, c.waiting.Get().(*mailbox)
	r.box.tally = r.Tally
	if via == 0 {
		c.o.Peers.Go(r.To, r.Kind, deadline, r.Payload, r.box.arrived)
	} else {
		c.o.Peers.Go(via, KindVia, deadline, encodeVia(r.To, r.Kind, r.Payload), r.box.arrived)
	}
}

// Wait waits for the answer to a request that was sent, and sends it on other ways as long as it was certainly not
// processed. NotSent tells of its error whether it was; those of answers that find no room are of kind Overloaded.
func (c *Client) Wait(ctx context.Context, r *Request) ([]byte, error) {
	b, err := c.receive(ctx, r)
	switch {
	case r.via != 0:
		if c.led(r, err) {
			return b, err
		}
	case err == nil || r.Direct || r.cut || !c.o.Unreachable(err) || ctx.Err() != nil:
		return b, err
	default:
		c.ways.failed(r.To, c.isSilent(err))
		via, _ := c.ways.around(r.To)
		r.thirds = c.fewThirds(r.To, via)
	}
	for third := r.nextThird(); third != 0 && ctx.Err() == nil; third = r.nextThird() {
		c.send(ctx, r, third)
		if b, err = c.receive(ctx, r); c.led(r, err) {
			return b, err
		}
	}
	if r.cut && ctx.Err() == nil { // it may have mended meanwhile
		c.send(ctx, r, 0)
		return c.receive(ctx, r)
	}
	return nil, errNoWay
}

// Call sends a request and waits for the answer.
func (c *Client) Call(ctx context.Context, r Request) ([]byte, error) {
	c.Send(ctx, &r)
	return c.Wait(ctx, &r)
}

// led reports whether the third node that had a request led to the other, and notes it.
func (c *Client) led(r *Request, err error) bool {
	if err != nil && c.NotSent(err) {
		return false
	}
	c.ways.set(r.To, way{cut: true, via: r.via})
	c.o.Counters.Relayed.Inc()
	return true
}

// receive waits for what comes of one sending.
func (c *Client) receive(ctx context.Context, r *Request) ([]byte, error) {
	if d, ok := ctx.(*kv.Deadline); ok {
		ctx = d.Untimed() // Peers ends the request at its deadline
	}
	m := r.box
	got, ok := m.wait(ctx)
	if !ok {
		return nil, context.Cause(ctx) // sent or not: nobody knows
	}
	r.Tally = m.tally
	m.tally, m.left = Tally{}, false
	c.waiting.Put(m)
	if r.via != 0 && got.err == nil {
		return decodeVia(got.b)
	}
	return got.b, got.err
}

// mailbox is where the answer to a request arrives. It is used again once that came, which comes once.
type mailbox struct {
	*Future[arrival]
	arrived func([]byte, error)
	mu      sync.Mutex // an answer is counted before who asked gives up, or not at all
	tally   Tally
	left    bool // nobody waits any more
}

type arrival struct {
	b   []byte
	err error
}

func newMailbox() any {
	m := &mailbox{Future: NewFuture[arrival]()}
	m.arrived = func(b []byte, err error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.left {
			m.tally.Place.end()
			return
		}
		b, err = m.tally.take(b, err)
		m.Put(arrival{b, err})
	}
	return m
}

// wait returns what arrived; ok is false when nothing did before ctx ended, and then the mailbox is not used again.
func (m *mailbox) wait(ctx context.Context) (arrival, bool) {
	if got, ok := m.Wait(ctx); ok {
		return got, true
	}
	m.mu.Lock()
	m.left = true
	m.mu.Unlock()
	select {
	case got := <-m.got:
		return got, true
	default:
		return arrival{}, false
	}
}
