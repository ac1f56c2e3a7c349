package peer

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// lingerTime is how long a receiver waits for the sender to read the verdict.
const lingerTime = time.Second

// receiveSnapshot hands the snapshot that conn brings to the handler and sends the verdict.
// It calls handled before the verdict leaves, so that a sender which knows it finds room for
// its next snapshot.
func (t *Transport) receiveSnapshot(conn net.Conn, from Remote, handled func()) {
	s := t.newStream(conn)
	var buf []byte
	typ, header, err := s.receive(&buf)
	if err != nil || typ != typeSnapshotHeader {
		t.log.Warn("snapshot connection without a snapshot", "peer", from.Node, "type", typ, "error", err)
		return
	}
	ctx, cancel := context.WithCancelCause(t.softCtx)
	defer cancel(nil)
	s.maxBytes = chunkSize // the header may be longer
	b := newBody(s)
	b.grant(window)
	var pump sync.WaitGroup
	pump.Go(func() { b.pump(func() { cancel(errSenderGone) }) })

	err = t.handleSnapshot(ctx, s, from, header, b)
	handled()
	verdict := []byte{statusOK}
	if err != nil {
		text := err.Error()
		verdict = append([]byte{statusError}, text[:min(len(text), maxErrorText)]...)
		t.log.Warn("snapshot not accepted", "peer", from.Node, "error", err)
	}
	if s.send(typeVerdict, verdict) == nil {
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
