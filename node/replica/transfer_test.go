package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"pxkv/node/kv"
	"pxkv/persist/data"
)

// fakeSender sends snapshots as the test says.
type fakeSender func(ctx context.Context, write func(io.Writer) error) error

func (fakeSender) Send(kv.NodeID, []byte) bool { return true }

func (f fakeSender) SendSnapshot(ctx context.Context, _ kv.NodeID, _ []byte, write func(io.Writer) error) error {
	return f(ctx, write)
}

// Whatever becomes of a shipment, the turn hears of it: else its place is taken for ever.
func TestEveryShipmentIsReported(t *testing.T) {
	t.Parallel()
	broken := errors.New("the connection broke")
	whole := func(_ context.Context, write func(io.Writer) error) error { return write(io.Discard) }
	hang := func(ctx context.Context, _ func(io.Writer) error) error { <-ctx.Done(); return broken }
	for name, c := range map[string]struct {
		send fakeSender
		p    kv.PartitionID
		end  func(*Shipment, context.CancelCauseFunc)
		want error
	}{
		"it arrives": {send: whole},
		"refused": {send: func(context.Context, func(io.Writer) error) error {
			return fmt.Errorf("far away: %w", kv.NoRoom)
		}, want: kv.NoRoom},
		"cut off": {send: func(context.Context, func(io.Writer) error) error {
			return broken
		}, want: broken},
		"given up": {send: hang, end: func(s *Shipment, _ context.CancelCauseFunc) {
			s.GiveUp(ErrStalled)
		}, want: ErrStalled},
		"the loop ends": {send: hang, end: func(_ *Shipment, stop context.CancelCauseFunc) {
			stop(errNotNeeded)
		}, want: errNotNeeded},
		"the replica has gone": {send: whole, p: 9, want: data.ErrNoReplica},
		"cut off in between": {send: func(_ context.Context, write func(io.Writer) error) error {
			return write(writerFunc(func([]byte) (int, error) { return 0, broken }))
		}, want: broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSolo(t, 1, Limits{})
			l := NewLoop(LoopOptions{Host: s.h, DB: s.db, Sender: c.send})
			ctx, stop := context.WithCancelCause(t.Context())
			defer stop(nil)
			ship := newShipment(nil, SnapshotRequest{Partition: c.p, ToNode: 3}, 0)
			l.ship(ctx, ship)
			if c.end != nil {
				c.end(ship, stop)
			}
			l.sends.Wait()
			var in Input
			l.inbox.swap(&in)
			if len(in.Reports) != 1 || in.Reports[0].Shipment != ship {
				t.Fatalf("reports are %v", in.Reports)
			}
			err := in.Reports[0].Err
			if !errors.Is(err, c.want) {
				t.Errorf("reported is %v, want %v", err, c.want)
			}
			if name == "it arrives" && ship.moved.Load() == 0 {
				t.Error("nothing moved")
			}
		})
	}
}

// A single item may be as large as a frame. It moves piece by piece, so that a slow link is not
// taken for a stalled one.
func TestLargeItemsMoveInPieces(t *testing.T) {
	t.Parallel()
	ship := newShipment(nil, SnapshotRequest{}, 0)
	var steps []int64
	w := movedWriter{
		writerFunc(func(b []byte) (int, error) { steps = append(steps, ship.moved.Load()); return len(b), nil }), ship,
	}
	if n, err := w.Write(make([]byte, 3*movedPiece+1)); n != 3*movedPiece+1 || err != nil {
		t.Fatalf("%d bytes written, %v", n, err)
	}
	if len(steps) != 4 || steps[3] != 3*movedPiece || ship.moved.Load() != 3*movedPiece+1 {
		t.Errorf("moved before each piece: %v, and %d at the end", steps, ship.moved.Load())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// What the receiver refuses it refuses before it reads, and says why.
func TestAnArrivingSnapshotIsRefusedByName(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 1, Limits{Snapshots: SnapshotLimits{In: 1}})
	l := NewLoop(LoopOptions{Host: s.h, DB: s.db, Sender: fakeSender(nil)})
	r := SnapshotRequest{Partition: 0, From: 7, To: 3, Term: 1}
	if err := l.ReceiveSnapshot(3, r.AppendTo(nil), nil); !errors.Is(err, kv.NotWanted) {
		t.Errorf("for another replica: %v", err)
	}
	r.To = 100
	done, err := s.h.Admit(SnapshotRequest{Partition: 0, To: 100, Term: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.ReceiveSnapshot(3, r.AppendTo(nil), nil); !errors.Is(err, kv.Busy) {
		t.Errorf("with no place free: %v", err)
	}
	done()
	if err := l.ReceiveSnapshot(3, r.AppendTo(nil), bytes.NewReader([]byte("no snapshot"))); err == nil {
		t.Error("a stream that is none was taken")
	}
	if n := s.h.arrivals.count(); n != 0 {
		t.Errorf("%d places are taken after a stream that failed", n)
	}
}
