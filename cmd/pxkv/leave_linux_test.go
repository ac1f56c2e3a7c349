package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

// On a terminal one line is written again and again, and is gone at the end.
func TestADepartureOnATerminal(t *testing.T) {
	t.Parallel()
	_, url := leavingNode(t, 3)
	tty, seen := terminal(t)
	var out bytes.Buffer
	code := run(t.Context(), []string{"leave", "--server=" + url, "n2"}, strings.NewReader(""), &out, tty)
	text := seen()
	lines := strings.Split(text, eraseLine)
	if code != exitFine || out.String() != "n2 has left the cluster\n" || len(lines) != 4 || lines[0] != "" ||
		lines[3] != "" {
		t.Fatalf("code %d, %q, and the terminal shows %q", code, &out, lines)
	}
	for _, line := range lines[1:3] {
		if !strings.HasPrefix(line, "n2 is leaving: 3 of 48 partitions left, 3.0 MiB, 1.0 MiB/s, about 3s") ||
			utf8.RuneCountInString(line) > lineWidth || strings.Contains(line, "\n") {
			t.Errorf("a line is %q", line)
		}
	}
}
