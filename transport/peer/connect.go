package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"pxkv/node/kv"
)

// keepAlive makes the kernel notice dead connections that we do not watch ourselves, such
// as those in the middle of a handshake.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// connect dials a peer and shakes hands. The connection is tracked; the caller hands it to
// release.
func (t *Transport) connect(ctx context.Context, to kv.NodeID, p purpose) (net.Conn, agreement, error) {
	all, err := t.whereabouts(ctx, to)
	if err != nil {
		return nil, agreement{}, err
	}
	for {
		conn, err := t.dialAny(ctx, all)
		if err != nil {
			return nil, agreement{}, fmt.Errorf("dial node %s: %w", t.opt.Names.Of(to), err)
		}
		a, err := t.greetAt(ctx, conn, to, p)
		if err == nil {
			t.remember(to, conn)
			return conn, a, nil
		}
		// Another node may have the address by now, and this one another.
		at := slices.IndexFunc(all, func(at netip.AddrPort) bool { return at.String() == conn.RemoteAddr().String() })
		if at < 0 || at == len(all)-1 {
			return nil, agreement{}, err
		}
		all = all[at+1:]
	}
}

// greetAt shakes hands on a connection that was dialed.
func (t *Transport) greetAt(ctx context.Context, conn net.Conn, to kv.NodeID, p purpose) (agreement, error) {
	if !t.track(conn, false) {
		conn.Close()
		return agreement{}, errStopped
	}
	a, err := t.shake(ctx, conn, func() (agreement, error) { return t.greet(conn, p, to) })
	if err != nil {
		t.release(conn)
		return agreement{}, fmt.Errorf("handshake with node %s at %s: %w", t.opt.Names.Of(to), conn.RemoteAddr(), err)
	}
	return a, nil
}

// shake runs a handshake within the dial timeout and ctx.
func (t *Transport) shake(ctx context.Context, conn net.Conn, handshake func() (agreement, error)) (agreement, error) {
	if err := conn.SetDeadline(time.Now().Add(t.opt.DialTimeout)); err != nil {
		return agreement{}, err
	}
	a, err := handshake()
	if err != nil {
		return agreement{}, err
	}
	if ctx.Err() != nil {
		return agreement{}, context.Cause(ctx)
	}
	return a, conn.SetDeadline(time.Time{})
}

// release closes a tracked connection.
func (t *Transport) release(conn net.Conn) {
	conn.Close()
	t.untrack(conn)
}

// serve shakes hands on an accepted connection and then does what it is for.
func (t *Transport) serve(conn net.Conn) (handedOn bool) {
	defer t.release(conn)
	if !t.track(conn, false) {
		return false
	}
	var h hello
	a, err := t.shake(t.softCtx, conn, func() (a agreement, err error) {
		h, a, err = t.welcome(conn)
		return a, err
	})
	switch {
	case err != nil:
		t.logRefusal(conn.RemoteAddr().String(), err)
	case h.purpose == purposeSnapshot:
		t.takeSnapshot(conn, a.Remote)
	default:
		t.runLink(conn, a, false)
	}
	return false
}

// runLink makes conn a link of its peer and serves it to its end.
func (t *Transport) runLink(conn net.Conn, a agreement, dialed bool) {
	defer t.release(conn)
	for {
		p := t.peer(a.Node)
		if p == nil || !t.track(conn, true) {
			return
		}
		l := newLink(p, conn, a, dialed)
		ok, gone := p.attach(l)
		if ok {
			// Whoever changes the cluster looks through the links afterwards. This one became one of
			// them either before that, or late enough to see the change here.
			if !outdatedLinksStay {
				l.closeIfOutdated(t.opt.Cluster())
			}
			l.run()
		}
		if !gone {
			return
		}
	}
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
