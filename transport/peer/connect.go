package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"pxkv/node/kv"
)

// keepAlive makes the kernel notice dead connections that we do not watch ourselves, such
// as those in the middle of a handshake.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// connect dials a peer and shakes hands. The connection is tracked; the caller hands it to
// release.
func (t *Transport) connect(ctx context.Context, to kv.NodeID, p purpose) (net.Conn, Remote, error) {
	addr, ok := t.opt.Resolve(to)
	if !ok {
		return nil, Remote{}, fmt.Errorf("no address of node %v is known", to)
	}
	d := net.Dialer{Timeout: t.opt.DialTimeout, KeepAliveConfig: keepAlive}
	d.SetMultipathTCP(false)
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, Remote{}, fmt.Errorf("dial node %v: %w", to, err)
	}
	if !t.track(conn, false) {
		conn.Close()
		return nil, Remote{}, errStopped
	}
	remote, err := t.shake(ctx, conn, func() (Remote, error) { return t.greet(conn, p, to) })
	if err != nil {
		t.release(conn)
		return nil, Remote{}, fmt.Errorf("handshake with node %v at %s: %w", to, addr, err)
	}
	return conn, remote, nil
}

// shake runs a handshake within the dial timeout and ctx.
func (t *Transport) shake(ctx context.Context, conn net.Conn, handshake func() (Remote, error)) (Remote, error) {
	if err := conn.SetDeadline(time.Now().Add(t.opt.DialTimeout)); err != nil {
		return Remote{}, err
	}
	remote, err := handshake()
	if err != nil {
		return Remote{}, err
	}
	if ctx.Err() != nil {
		return Remote{}, context.Cause(ctx)
	}
	return remote, conn.SetDeadline(time.Time{})
}

// release closes a tracked connection.
func (t *Transport) release(conn net.Conn) {
	conn.Close()
	t.untrack(conn)
}

// accept takes connections until the listener is closed.
func (t *Transport) accept() {
	for pause := time.Duration(0); ; {
		conn, err := t.listener.Accept()
		if err == nil {
			pause = 0
			t.admit(conn)
			continue
		}
		if t.softCtx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return
		}
		// Out of file descriptors, most likely: try again, slower and slower.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		t.quiet.warn("accept", "accept of a peer's connection failed", "error", err)
		select {
		case <-time.After(pause):
		case <-t.softCtx.Done():
			return
		}
	}
}

// admit serves an accepted connection on a goroutine of its own, if there is room for one.
func (t *Transport) admit(conn net.Conn) {
	t.mu.Lock()
	full := t.inbound >= t.opt.MaxInboundConns
	if !full {
		t.inbound++
	}
	t.mu.Unlock()
	if full {
		conn.Close()
		t.quiet.warn("full", "closed a peer's connection: too many are open", "limit", t.opt.MaxInboundConns)
		return
	}
	if !t.spawn(func() { t.serve(conn) }) {
		conn.Close()
	}
}

// serve shakes hands on an accepted connection and then does what it is for.
func (t *Transport) serve(conn net.Conn) {
	defer func() {
		t.release(conn)
		t.mu.Lock()
		t.inbound--
		t.mu.Unlock()
	}()
	if !t.track(conn, false) {
		return
	}
	var h hello
	freeSlot := func() {}
	remote, err := t.shake(t.softCtx, conn, func() (_ Remote, err error) {
		h, err = t.welcome(conn, func(h hello) *refusal {
			if h.purpose != purposeSnapshot {
				return nil
			}
			select {
			case t.snapshotsIn <- struct{}{}:
				freeSlot = sync.OnceFunc(func() { <-t.snapshotsIn })
				return nil
			default:
				return refusef("node %v is busy receiving %d snapshots", t.opt.Identity.Node, t.opt.MaxSnapshotsIn)
			}
		})
		return h.remote(), err
	})
	defer func() { freeSlot() }()
	switch {
	case err != nil:
		t.logRefusal(conn.RemoteAddr().String(), err)
	case h.purpose == purposeSnapshot:
		t.receiveSnapshot(conn, remote, freeSlot)
	default:
		t.runLink(conn, remote, false)
	}
}

// runLink makes conn a link of its peer and serves it to its end.
func (t *Transport) runLink(conn net.Conn, remote Remote, dialed bool) {
	defer t.release(conn)
	for {
		p := t.peer(remote.Node)
		if p == nil || !t.track(conn, true) {
			return
		}
		l := newLink(p, conn, remote, dialed)
		ok, gone := p.attach(l)
		if ok {
			l.run()
		}
		if !gone {
			return
		}
	}
}

func isRefusal(err error) bool {
	_, ok := errors.AsType[*refusal](err)
	return ok
}

// logRefusal logs why a connection did not come about. Unreachable peers are everyday; a
// refusal needs an operator.
func (t *Transport) logRefusal(from string, err error) {
	switch r, ok := errors.AsType[*refusal](err); {
	case t.softCtx.Err() != nil:
	case ok:
		host, _, splitErr := net.SplitHostPort(from)
		if splitErr != nil {
			host = from
		}
		t.quiet.warn(host+r.reason, "peer connection refused", "from", from, "reason", r.Error())
	case errors.Is(err, io.EOF):
		t.log.Debug("peer connection ended in the handshake", "from", from)
	default:
		t.log.Debug("peer connection failed", "from", from, "error", err)
	}
}
