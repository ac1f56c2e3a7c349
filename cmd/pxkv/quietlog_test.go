package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// What serve writes is bounded, in either format.
func TestTheLogOfServeIsBounded(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		f := serveFlags{logFormat: format, logLevel: "info"}
		if _, ok := f.logger().Handler().(quietHandler); !ok {
			t.Errorf("%s: a stranger can make it grow", format)
		}
	}
}

// A stranger who causes a line a million times fills no disk, and what happens once is told.
func TestALogThatStrangersMakeGrowIsBounded(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Unix(1_000_000, 0)
	log := slog.New(quieted(slog.NewTextHandler(&out, nil), func() time.Time { return now })).With("node", "n1")
	lines := func(part string) int { return strings.Count(out.String(), part) }
	for i := range 100_000 {
		log.Warn("raft frame refused", "from", fmt.Sprint("stranger ", i), "err", "malformed")
	}
	log.Info("serving")
	log.Info("raft frame refused") // another level is another kind
	if got := lines("level=WARN msg=\"raft frame refused\""); got != quietBurst {
		t.Errorf("%d lines at once, want %d", got, quietBurst)
	}
	if lines("msg=serving node=n1") != 1 || lines("level=INFO msg=\"raft frame refused\"") != 1 {
		t.Errorf("a line of another kind is missing:\n%.2000s", out.String())
	}
	now = now.Add(quietPause)
	log.Warn("raft frame refused", "from", "the next")
	log.Warn("raft frame refused", "from", "one too many")
	if lines("one too many") != 0 {
		t.Error("two lines in one pause")
	}
	if want := fmt.Sprintf("from=\"the next\" lines_left_out=%d", 100_000-quietBurst); lines(want) != 1 {
		t.Errorf("no %q in the last line", want)
	}
	// Nor do texts that differ, be it in numbers or altogether.
	out.Reset()
	for i := range 100_000 {
		log.Warn(fmt.Sprintf("memberlist: bad packet from 192.0.2.%d", i%256))
		log.WithGroup("g").Warn(fmt.Sprintf("%s text", strings.Repeat("x", i%1000)))
	}
	if got := lines("memberlist"); got != quietBurst {
		t.Errorf("%d lines that differ in numbers, want %d", got, quietBurst)
	}
	if got := lines("\n"); got > quietBurst*(quietKinds+1) {
		t.Errorf("%d lines, want at most %d", got, quietBurst*(quietKinds+1))
	}
	now = now.Add(2 * quietBurst * quietPause)
	out.Reset()
	if log.Info("stopped"); lines("stopped") != 1 {
		t.Error("later a line of a new kind is missing")
	}
}
