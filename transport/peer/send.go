package peer

import (
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
	if err := t.submit(to, kind, deadline, payload, done); err != nil {
		done(nil, err)
	}
}

func (t *Transport) submit(to kv.NodeID, kind uint8, deadline time.Time, payload []byte,
	done func([]byte, error)) error {
	if to == t.opt.Identity.Node {
		return errSelf
	}
	now := time.Now()
	if deadline.IsZero() {
		deadline = now.Add(defaultCallTime)
	} else if !deadline.After(now) {
		return errExpired
	}
	due := int64(deadline.Sub(t.start))
	for {
		p := t.peer(to)
		if p == nil {
			return errStopped
		}
		gone, err := p.submit(kind, due, payload, done)
		if gone {
			continue
		}
		if err == nil {
			t.expireBy(due)
		}
		return err
	}
}

// ClusterChanged says that Options.Cluster gives another answer from now on. Links whose peers
// were told the former one end, and peers that refused this node are dialed anew at once. Links
// that come out of handshakes under way end as well.
func (t *Transport) ClusterChanged() {
	cluster := t.opt.Cluster()
	for _, p := range *t.peers.Load() {
		p.mu.Lock()
		p.backoff, p.notBefore = 0, 0
		for _, l := range p.links {
			if why := l.outdated(cluster); why != nil {
				l.close(why)
			}
		}
		p.mu.Unlock()
	}
}
