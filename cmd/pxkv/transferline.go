package main

import (
	"fmt"
	"io"
	"time"

	"pxkv/cmd/pxkv/transfer"
)

// transferLine is the line on a terminal that tells how far an export or import is.
type transferLine struct {
	w     io.Writer // nil when nobody watches
	begun time.Time
	size  int64 // of the file that is read, in bytes; 0 when it is not known
	shown bool
}

func newTransferLine(w io.Writer, size int64) *transferLine {
	l := &transferLine{begun: time.Now(), size: size}
	if isTerminal(w) {
		l.w = w
	}
	return l
}

// report returns what is told the progress, nil when nobody watches.
func (l *transferLine) report() func(transfer.Progress) {
	if l.w == nil {
		return nil
	}
	return func(p transfer.Progress) {
		done := ""
		if l.size > 0 {
			done = fmt.Sprintf("  %3.0f%%", 100*float64(p.Bytes)/float64(l.size))
		}
		fmt.Fprintf(l.w, eraseLine+"%10d pairs  %8.1f MiB  %8.0f pairs/s%s", p.Pairs, float64(p.Bytes)/(1<<20),
			float64(p.Pairs-p.Before)/time.Since(l.begun).Seconds(), done)
		l.shown = true
	}
}

// clear makes room for something else.
func (l *transferLine) clear() {
	if l.shown {
		fmt.Fprint(l.w, eraseLine)
		l.shown = false
	}
}

// plural counts things: 1 pair, 2 pairs.
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
