package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/cespare/xxhash/v2"

	"pxkv/node/kv"
)

// SendSnapshot streams a snapshot to a peer over a connection of its own and waits for the
// receiver's verdict; nil means that the receiver staged all of it durably. header is at most
// Options.MaxPayload bytes. write produces the body; it is called at most once, from the
// caller's goroutine, and its writer blocks while the receiver is slow. Beyond
// Options.MaxSnapshotsOut it waits for its turn.
//
// Errors: ErrNotSent when no byte of the snapshot was sent (the peer is unreachable, refused
// it, or ctx ended while waiting); a *RemoteError is the receiver's verdict, which may wrap a
// kv.Refusal; the error of
// write, wrapped; ErrLost when the connection broke before the verdict; each with ctx's
// cause when ctx ended. When the transport stops, snapshots end at once.
func (t *Transport) SendSnapshot(ctx context.Context, to kv.NodeID, header []byte, write func(io.Writer) error) error {
	if len(header) > t.opt.MaxPayload {
		return fmt.Errorf("%w: the snapshot's header has %d bytes, the limit is %d", ErrNotSent, len(header),
			t.opt.MaxPayload)
	}
	if to == t.opt.Identity.Node {
		return errSelf
	}
	if !t.enter() {
		return errStopped
	}
	defer t.tasks.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(t.softCtx, func() { cancel(errTransportStopped) })()

	select {
	case t.snapshotsOut <- struct{}{}:
		defer func() { <-t.snapshotsOut }()
	case <-ctx.Done():
		return fmt.Errorf("%w: wait to send a snapshot to node %s: %w", ErrNotSent, t.opt.Names.Of(to),
			context.Cause(ctx))
	}
	conn, _, err := t.connect(ctx, to, purposeSnapshot)
	if err != nil {
		return fmt.Errorf("%w: snapshot to node %s: %w", ErrNotSent, t.opt.Names.Of(to), err)
	}
	defer t.release(conn)
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	if err := t.newStream(conn).sendAll(header, write); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = fmt.Errorf("%w: %w", err, cause)
		}
		return fmt.Errorf("snapshot to node %s: %w", t.opt.Names.Of(to), err)
	}
	return nil
}

var errTransportStopped = errors.New("the transport stopped")

// sendAll sends header, body and end, and returns the verdict on them.
func (s *stream) sendAll(header []byte, write func(io.Writer) error) error {
	s.maxBytes = maxChunk
	credits := newCredits()
	verdict := make(chan error, 1)
	go func() {
		err := s.awaitVerdict(credits)
		s.conn.Close() // a verdict may come early: sending makes no sense any more
		credits.end()
		verdict <- err
	}()
	stopPings := s.keepAlive(func() { s.conn.Close() })
	defer stopPings()

	writeErr, sendErr := s.produce(header, write, credits)
	switch {
	case sendErr != nil:
		if !errors.Is(sendErr, errUnwanted) {
			s.conn.Close()
		}
	case writeErr != nil:
		// The receiver answers the abort, or is gone.
		text := writeErr.Error()
		_ = s.send(typeSnapshotAbort, []byte(text[:min(len(text), maxErrorText)]))
	}
	err := <-verdict
	_, heard := errors.AsType[*RemoteError](err)
	switch {
	case sendErr == nil && writeErr != nil:
		return fmt.Errorf("produce the snapshot: %w", writeErr)
	case sendErr == nil || heard || errors.Is(sendErr, errUnwanted) || errors.Is(sendErr, net.ErrClosed):
		// What awaitVerdict met is the cause of everything else.
		if err == nil && sendErr != nil {
			return fmt.Errorf("%w: the receiver accepted the snapshot before its end", ErrLost)
		}
		return err
	}
	return fmt.Errorf("%w: send the snapshot: %w", ErrLost, sendErr)
}

// produce sends everything up to the end. It tells an error of write apart from one of the
// connection, which write may have passed on.
func (s *stream) produce(header []byte, write func(io.Writer) error, credits *credits) (writeErr, sendErr error) {
	if err := s.send(typeSnapshotHeader, header); err != nil {
		return nil, err
	}
	room := takeChunkBuffer()
	if cap(room) < s.chunk {
		room = make([]byte, 0, s.chunk+1) // as many as one that is received
	}
	defer leaveChunkBuffer(room)
	w := &chunkWriter{s: s, credits: credits, buf: room, hash: xxhash.New()}
	if err := write(w); err != nil {
		return err, w.err
	}
	return nil, w.finish()
}

// awaitVerdict reads the receiver's credits and, in the end, its verdict.
func (s *stream) awaitVerdict(credits *credits) error {
	var buf []byte
	for {
		typ, payload, err := s.receive(&buf)
		switch {
		case err != nil:
			return fmt.Errorf("%w: wait for the receiver's verdict: %w", ErrLost, err)
		case typ == typeSnapshotCredit && len(payload) == creditSize:
			credits.add(binary.LittleEndian.Uint32(payload))
		case typ != typeVerdict || len(payload) < 1:
			return fmt.Errorf("%w: instead of a verdict came a message of type %d", ErrLost, typ)
		default:
			return judged(payload)
		}
	}
}
