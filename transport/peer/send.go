package peer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"pxkv/node/kv"
)

// Send queues a raft frame and takes ownership of it. Where there is no connection, it
// starts to dial. It never blocks. It returns false when the frame was dropped: the queue is
// full, the peer could not be reached a moment ago, the frame is too long, or the transport
// is not running. True promises nothing: a connection may break.
//
// Frames arrive in the order in which they were sent while one connection lives. Many
// calls of Send and Go in a row cost one write.
func (t *Transport) Send(to kv.NodeID, frame []byte) bool {
	if to == t.opt.Identity.Node {
		return false
	}
	for {
		p := t.peer(to)
		if p == nil {
			return false
		}
		if ok, gone := p.send(frame); !gone {
			return ok
		}
	}
}

// Go sends a request and takes ownership of payload. done is called exactly once, however
// the request ends: with the answer, which it then owns; or with an error that is
// ErrNotSent, ErrLost (errors.Is) or a *RemoteError. done must not block, and must not need
// a lock that the caller of Go holds: it may run before Go returns, and otherwise runs on a
// goroutine of the transport. A zero deadline means 10 s from now.
func (t *Transport) Go(to kv.NodeID, kind uint8, deadline time.Time, payload []byte,
	done func(payload []byte, err error)) {
	if _, _, err := t.submit(to, kind, deadline, payload, done); err != nil {
		done(nil, err)
	}
}

func (t *Transport) submit(to kv.NodeID, kind uint8, deadline time.Time, payload []byte,
	done func([]byte, error)) (*peer, uint64, error) {
	if to == t.opt.Identity.Node {
		return nil, 0, errSelf
	}
	now := time.Now()
	if deadline.IsZero() {
		deadline = now.Add(defaultCallTime)
	} else if !deadline.After(now) {
		return nil, 0, errExpired
	}
	due := int64(deadline.Sub(t.start))
	for {
		p := t.peer(to)
		if p == nil {
			return nil, 0, errStopped
		}
		id, gone, err := p.submit(kind, due, payload, done)
		if gone {
			continue
		}
		if err == nil {
			t.expireBy(due)
		}
		return p, id, err
	}
}

// Call sends a request and waits for its answer, which the caller then owns. Its errors are
// those of Go; when ctx ends first, the error also wraps ctx's cause. The deadline is ctx's,
// or 10 s from now.
func (t *Transport) Call(ctx context.Context, to kv.NodeID, kind uint8, payload []byte) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotSent, context.Cause(ctx))
	}
	deadline, _ := ctx.Deadline()
	w := waiters.Get().(*waiter)
	p, id, err := t.submit(to, kind, deadline, payload, w.done)
	if err != nil {
		waiters.Put(w)
		return nil, err
	}
	select {
	case end := <-w.end:
		waiters.Put(w)
		return end.payload, end.err
	case <-ctx.Done():
	}
	err, abandoned := p.abandon(id)
	if !abandoned {
		// It ended at the same time: done is being called, and w is not free before.
		end := <-w.end
		waiters.Put(w)
		return end.payload, end.err
	}
	waiters.Put(w)
	return nil, fmt.Errorf("%w: %w", err, context.Cause(ctx))
}

// waiter is where a Call waits. It can be used again because done is called exactly once,
// or, when the call was abandoned, never.
type waiter struct {
	end  chan ending
	done func([]byte, error)
}

type ending struct {
	payload []byte
	err     error
}

var waiters = sync.Pool{New: func() any {
	w := &waiter{end: make(chan ending, 1)}
	w.done = func(payload []byte, err error) { w.end <- ending{payload, err} }
	return w
}}

// ClusterChanged says that Options.Cluster gives another answer from now on. Links whose peers
// were told the former one end, and peers that refused this node are dialed anew at once. Links
// that come out of handshakes under way end as well.
func (t *Transport) ClusterChanged() {
	cluster := t.opt.Cluster()
	for _, p := range *t.peers.Load() {
		p.mu.Lock()
		p.backoff, p.notBefore = 0, 0
		for _, l := range p.links {
			if l.told != cluster {
				l.close(errOutdated)
			}
		}
		p.mu.Unlock()
	}
}
