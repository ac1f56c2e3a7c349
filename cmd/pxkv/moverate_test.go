package main

import (
	"io"
	"strings"
	"testing"
)

// A rate at which what moves would be given up as if it stood still is refused before anything is started.
func TestAMoveRateThatIsTooLowIsRefused(t *testing.T) {
	for _, rate := range []string{"1", "1048575", "-1"} {
		cmd := newServeCommand()
		cmd.SetArgs([]string{"--move-rate", rate, "--data-dir", t.TempDir()})
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		want := "--move-rate is " + rate + " bytes a second; it must be 0 or at least 1048576"
		if err := cmd.Execute(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--move-rate %s: %v", rate, err)
		}
	}
}
