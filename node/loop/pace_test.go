package loop

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"
)

// Snapshots rest in proportion to their work while something is asked, all of a node together, and not at all when
// nothing is.
func TestSnapshotsRestWhileSomethingIsAsked(t *testing.T) {
	t.Parallel()
	var asked uint64
	p := &pace{asked: func() uint64 { return asked }}
	now := time.Unix(1000, 0)
	const work = 10 * time.Millisecond
	if d := p.after(now, work, 1<<20); d != 0 {
		t.Fatalf("rests for %v though nothing was asked", d)
	}
	asked++
	if d := p.after(now, work, 1<<20); d != restShare*work {
		t.Errorf("rests for %v after %v of work", d, work)
	}
	if d := p.after(now, work, 1<<20); d != 2*restShare*work {
		t.Errorf("another snapshot rests for %v, and not after the first", d)
	}
	now = now.Add(2 * restShare * work)
	asked++
	if d := p.after(now, time.Hour, 1<<20); d != longestRest {
		t.Errorf("rests for %v at once, want %v at most", d, longestRest)
	}
	now = now.Add(longestRest + busyFor)
	if d := p.after(now, work, 1<<20); d != 0 {
		t.Errorf("rests for %v though nothing is asked any more", d)
	}
}

func TestShortRestsAreAddedUp(t *testing.T) {
	t.Parallel()
	var asked uint64
	p := &pace{asked: func() uint64 { asked++; return asked }}
	now, work, rested := time.Unix(1000, 0), 100*time.Microsecond, time.Duration(0)
	for range 100 {
		now = now.Add(work)
		d := p.after(now, work, 0)
		if d > 0 && d < leastRest {
			t.Fatalf("rests for %v only", d)
		}
		now, rested = now.Add(d), rested+d
	}
	// What is done meanwhile counts as rest of those that were not taken yet.
	if least := 100 * (restShare - 1) * work * 9 / 10; rested < least {
		t.Errorf("rested for %v after %v of work, want %v at least", rested, 100*work, least)
	}
}

// What took long since the process or its disk stood still is not paid for by all snapshots that follow.
func TestWhatIsOwedIsBounded(t *testing.T) {
	t.Parallel()
	var asked uint64
	p := &pace{asked: func() uint64 { asked++; return asked }}
	begin := time.Unix(1000, 0)
	now := begin
	for d := p.after(now, time.Hour, 0); d > 0; d = p.after(now, 0, 0) {
		if now = now.Add(d); now.Sub(begin) > mostOwed {
			t.Fatalf("still rests %v after an hour of work", now.Sub(begin))
		}
	}
}

func TestTheRateIsKept(t *testing.T) {
	t.Parallel()
	const rate, piece = 1 << 20, 64 << 10
	p := &pace{rate: rate, asked: func() uint64 { return 0 }}
	begin := time.Unix(1000, 0)
	now := begin
	for range 160 { // ten seconds' worth
		now = now.Add(p.after(now, 0, piece))
	}
	if d := now.Sub(begin); d < 10*time.Second-2*burst || d > 10*time.Second+burst {
		t.Errorf("ten seconds' worth took %v", d)
	}
	if d := p.after(now.Add(time.Hour), 0, 0); d != 0 {
		t.Errorf("who receives waits for %v", d)
	}
}

// A snapshot that is given up does not rest to the end, and what passes through is unchanged.
func TestPacedStreams(t *testing.T) {
	t.Parallel()
	p := &pace{rate: 1, asked: func() uint64 { return 0 }}
	ctx, cancel := context.WithCancelCause(t.Context())
	var out bytes.Buffer
	gone := errors.New("gone")
	cancel(gone)
	if _, err := (pacedWriter{&out, p.of(ctx)}).Write([]byte("much too much")); !errors.Is(err, gone) || out.Len() > 0 {
		t.Errorf("%q was written, and %v", out.String(), err)
	}
	all, err := io.ReadAll(pacedReader{bytes.NewReader([]byte("all of it")), p.of(t.Context())})
	if string(all) != "all of it" || err != nil {
		t.Errorf("read %q, %v", all, err)
	}
}
