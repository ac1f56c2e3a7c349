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

// lingerTime is how long a receiver waits for the sender to read the verdict.
const lingerTime = time.Second

// takeSnapshot receives a snapshot if there is a place for it.
func (t *Transport) takeSnapshot(conn net.Conn, from Remote) {
	select {
	case t.snapshotsIn <- struct{}{}:
		free := sync.OnceFunc(func() { <-t.snapshotsIn })
		defer free()
		t.receiveSnapshot(conn, from, free)
	default:
		t.refuseSnapshot(conn)
	}
}

// receiveSnapshot hands the snapshot that conn brings to the handler and sends the verdict.
// It calls handled before the verdict leaves, so that a sender which knows it finds room for
// its next snapshot.
func (t *Transport) receiveSnapshot(conn net.Conn, from Remote, handled func()) {
	s := t.newStream(conn)
	b := newBody(s, t.opt.SnapshotAhead)
	defer t.watch(b, conn)()
	var buf []byte
	typ, header, err := s.receive(&buf)
	if err != nil || typ != typeSnapshotHeader {
		t.log.Warn("snapshot connection without a snapshot", "peer", t.opt.Names.Of(from.Node), "type", typ, "error",
			err)
		return
	}
	ctx, cancel := context.WithCancelCause(t.softCtx)
	defer cancel(nil)
	s.maxBytes = maxChunk // the header may be longer
	b.grant(uint32(b.ahead))
	var pump sync.WaitGroup
	pump.Go(func() { b.pump(func() { cancel(errSenderGone) }) })

	err = t.handleSnapshot(ctx, s, from, header, b)
	handled()
	if err != nil {
		if r, _ := errors.AsType[kv.Refusal](err); r == kv.Busy || r == kv.NotWanted {
			t.log.Debug("snapshot not accepted", "peer", t.opt.Names.Of(from.Node), "error", err) // everyday
		} else {
			t.quiet.warn(fmt.Sprint("snapshot", from.Node, r), "snapshot not accepted", "peer",
				t.opt.Names.Of(from.Node), "error", err)
		}
	}
	if s.send(typeVerdict, verdict(err)) == nil {
		// Closing at once, with unread data, would reset the connection and could destroy the
		// verdict on its way. The sender closes when it has read it.
		closeWrite(conn)
		linger := time.AfterFunc(lingerTime, func() { conn.Close() })
		defer linger.Stop()
		pump.Wait()
		_, _ = io.Copy(io.Discard, s.r)
	}
	conn.Close()
	pump.Wait()
	b.leave()
}

// handleSnapshot runs the handler, with pings to the sender meanwhile.
func (t *Transport) handleSnapshot(ctx context.Context, s *stream, from Remote, header []byte, b *body) error {
	stopPings := s.keepAlive(func() {})
	defer stopPings()
	if err := t.opt.Handler.HandleSnapshot(ctx, from, header, b); err != nil {
		return err
	}
	if !errors.Is(b.err, io.EOF) {
		return errors.New("the receiver accepted a snapshot without reading it to its end")
	}
	return nil
}

var errSenderGone = errors.New("the sender of the snapshot is gone")

// refuseSnapshot sends the verdict on a snapshot for which there is no place, before any of it came.
func (t *Transport) refuseSnapshot(conn net.Conn) {
	s := t.newStream(conn)
	busy := fmt.Errorf("node %s receives %d snapshots: %w", t.opt.Names.Of(t.opt.Identity.Node), t.opt.MaxSnapshotsIn,
		kv.Busy)
	if s.send(typeVerdict, verdict(busy)) == nil {
		closeWrite(conn)
		linger := time.AfterFunc(lingerTime, func() { conn.Close() })
		defer linger.Stop()
		_, _ = io.Copy(io.Discard, conn)
	}
}

// watchTicks is in how many ticks Options.SnapshotWindow is cut. A process that was paused sees one
// tick more, whatever the clock says: it does not give up what had no time to arrive.
const watchTicks = 6

var errSlow = errors.New("too little of the snapshot arrived in too long a time")

// watch gives a snapshot up of which too little arrives. The reader hears it at once, so that the
// sender gets a verdict; who does not read is cut off a little later.
func (t *Transport) watch(b *body, conn net.Conn) (stop func()) {
	quit := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		tick := time.NewTicker(t.opt.SnapshotWindow / watchTicks)
		defer tick.Stop()
		before := int64(0)
		for ticks := 1; ; ticks++ {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			if ticks%watchTicks != 0 || b.whole.Load() || endlessPatience {
				continue
			}
			now := b.bytes.Load()
			if now-before >= t.opt.SnapshotLeast {
				before = now
				continue
			}
			close(b.slow)
			select {
			case <-quit:
			case <-time.After(lingerTime):
				conn.Close()
			}
			return
		}
	})
	return func() {
		close(quit)
		watcher.Wait()
	}
}
