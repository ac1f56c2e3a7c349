package loop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"pxkv/node/kv"
	"pxkv/node/replica"
)

// ship streams a snapshot in its own goroutine and reports how it ended.
func (l *Loop) ship(ctx context.Context, s *replica.Shipment) {
	ctx, giveUp := context.WithCancelCause(ctx)
	s.OnGiveUp = giveUp
	l.sends.Go(func() {
		defer giveUp(nil)
		err := l.stream(ctx, s)
		l.inbox.put(func(in *replica.Input) {
			in.Reports = append(in.Reports, replica.SnapshotReport{Shipment: s, Err: err})
		})
	})
}

func (l *Loop) stream(ctx context.Context, s *replica.Shipment) error {
	r := s.Request
	snapshot, err := l.o.DB.OpenSnapshot(r.Partition)
	if err != nil {
		return err
	}
	defer func() { _ = snapshot.Close() }()
	err = l.o.Sender.SendSnapshot(ctx, r.ToNode, r.AppendTo(nil), func(w io.Writer) error {
		_, err := snapshot.WriteTo(movedWriter{pacedWriter{w, l.pace.of(ctx)}, s})
		return err
	})
	if why := context.Cause(ctx); err != nil && why != nil {
		return fmt.Errorf("%w: %w", err, why)
	}
	return err
}

// movedWriter tells how far a shipment is, also within the largest item.
type movedWriter struct {
	w io.Writer
	s *replica.Shipment
}

const movedPiece = 64 << 10

// Write implements io.Writer.
func (m movedWriter) Write(b []byte) (n int, err error) {
	for len(b) > 0 && err == nil {
		var wrote int
		wrote, err = m.w.Write(b[:min(len(b), movedPiece)])
		m.s.Move(wrote)
		n, b = n+wrote, b[wrote:]
	}
	return n, err
}

// ReceiveSnapshot stages an arriving snapshot and hands it to its replica. An error that wraps a
// kv.Refusal tells the sender when to try again. When ctx ends it is given up.
func (l *Loop) ReceiveSnapshot(ctx context.Context, from kv.NodeID, header []byte, body io.Reader) error {
	req, err := replica.DecodeSnapshotRequest(header)
	if err != nil {
		return err
	}
	done, err := l.o.Host.Admit(req)
	if err != nil {
		return err
	}
	defer done()
	staged, err := l.o.DB.StageSnapshot(req.Partition, pacedReader{body, l.pace.of(ctx)})
	if err != nil {
		if errors.Is(err, syscall.ENOSPC) {
			err = fmt.Errorf("%w: %w", kv.NoRoom, err)
		}
		return fmt.Errorf("partition %s: stage snapshot: %w", req.Partition, err)
	}
	// The stream must end where the snapshot does: only then is all of it known to be unchanged.
	if n, err := io.Copy(io.Discard, io.LimitReader(body, 1)); n > 0 || err != nil {
		staged.Discard()
		return fmt.Errorf("partition %s: %d bytes after the snapshot's end: %w", req.Partition, n, err)
	}
	if !l.inbox.put(func(in *replica.Input) {
		in.Snapshots = append(in.Snapshots, replica.ArrivedSnapshot{Request: req, FromNode: from, Staged: staged})
	}) {
		staged.Discard()
		return errors.New("node is shutting down")
	}
	return nil
}
