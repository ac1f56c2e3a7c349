package loop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/node/replica"
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
	broken, stopped := errors.New("the connection broke"), errors.New("the node stops")
	whole := func(_ context.Context, write func(io.Writer) error) error { return write(io.Discard) }
	hang := func(ctx context.Context, _ func(io.Writer) error) error { <-ctx.Done(); return broken }
	for name, c := range map[string]struct {
		send fakeSender
		p    kv.PartitionID
		end  func(*replica.Shipment, context.CancelCauseFunc)
		want error
	}{
		"it arrives": {send: whole},
		"refused": {send: func(context.Context, func(io.Writer) error) error {
			return fmt.Errorf("far away: %w", kv.NoRoom)
		}, want: kv.NoRoom},
		"cut off": {send: func(context.Context, func(io.Writer) error) error {
			return broken
		}, want: broken},
		"given up": {send: hang, end: func(s *replica.Shipment, _ context.CancelCauseFunc) {
			s.OnGiveUp(replica.ErrStalled)
		}, want: replica.ErrStalled},
		"the loop ends": {send: hang, end: func(_ *replica.Shipment, stop context.CancelCauseFunc) {
			stop(stopped)
		}, want: stopped},
		"the replica has gone": {send: whole, p: 9, want: data.ErrNoReplica},
		"cut off in between": {send: func(_ context.Context, write func(io.Writer) error) error {
			return write(writerFunc(func([]byte) (int, error) { return 0, broken }))
		}, want: broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := openDB(t, vfs.NewMem())
			defer db.Close()
			l := loopOf(t, db, replica.Limits{}, c.send)
			ctx, stop := context.WithCancelCause(t.Context())
			defer stop(nil)
			ship := &replica.Shipment{Request: replica.SnapshotRequest{Partition: c.p, ToNode: 3}}
			l.ship(ctx, ship)
			if c.end != nil {
				c.end(ship, stop)
			}
			l.sends.Wait()
			var in replica.Input
			l.inbox.swap(&in)
			if len(in.Reports) != 1 || in.Reports[0].Shipment != ship {
				t.Fatalf("reports are %v", in.Reports)
			}
			err := in.Reports[0].Err
			if !errors.Is(err, c.want) {
				t.Errorf("reported is %v, want %v", err, c.want)
			}
			if name == "it arrives" && ship.Moved() == 0 {
				t.Error("nothing moved")
			}
		})
	}
}

// A single item may be as large as a frame. It moves piece by piece, so that a slow link is not
// taken for a stalled one.
func TestLargeItemsMoveInPieces(t *testing.T) {
	t.Parallel()
	ship := &replica.Shipment{Request: replica.SnapshotRequest{}}
	var steps []int64
	w := movedWriter{
		writerFunc(func(b []byte) (int, error) { steps = append(steps, ship.Moved()); return len(b), nil }), ship,
	}
	if n, err := w.Write(make([]byte, 3*movedPiece+1)); n != 3*movedPiece+1 || err != nil {
		t.Fatalf("%d bytes written, %v", n, err)
	}
	if len(steps) != 4 || steps[3] != 3*movedPiece || ship.Moved() != 3*movedPiece+1 {
		t.Errorf("moved before each piece: %v, and %d at the end", steps, ship.Moved())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// What the receiver refuses it refuses before it reads, and says why.
func TestAnArrivingSnapshotIsRefusedByName(t *testing.T) {
	t.Parallel()
	db := openDB(t, vfs.NewMem())
	defer db.Close()
	l := loopOf(t, db, replica.Limits{Snapshots: replica.SnapshotLimits{In: 1}}, fakeSender(nil))
	r := replica.SnapshotRequest{Partition: 0, From: 7, To: 3, Term: 1}
	if err := l.ReceiveSnapshot(t.Context(), 3, r.AppendTo(nil), nil); !errors.Is(err, kv.NotWanted) {
		t.Errorf("for another replica: %v", err)
	}
	r.To = 100
	done, err := l.o.Host.Admit(replica.SnapshotRequest{Partition: 0, To: 100, Term: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.ReceiveSnapshot(t.Context(), 3, r.AppendTo(nil), nil); !errors.Is(err, kv.Busy) {
		t.Errorf("with no place free: %v", err)
	}
	done()
	if err := l.ReceiveSnapshot(t.Context(), 3, r.AppendTo(nil), bytes.NewReader([]byte("no snapshot"))); err == nil {
		t.Error("a stream that is none was taken")
	}
	if _, err := l.o.Host.Admit(r); err != nil {
		t.Errorf("after a stream that failed its place is taken: %v", err)
	}
}
