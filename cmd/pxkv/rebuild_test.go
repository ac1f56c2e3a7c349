package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestACopyIsGivenUp(t *testing.T) {
	t.Parallel()
	node := t.TempDir()
	if err := os.Mkdir(filepath.Join(node, "log"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"17", "--data-dir", node}, exitFine, "partition 17 is rebuilt"},
		{[]string{"meta", "--data-dir", node}, exitFine, "partition meta is rebuilt"},
		{[]string{"17", "--data-dir", t.TempDir()}, exitFailed, "is no data directory of a node"},
		{[]string{"16384", "--data-dir", node}, exitUsage, "there is no partition 16384"},
		{[]string{"../17", "--data-dir", node}, exitUsage, "is no partition"},
		{[]string{"-1", "--data-dir", node}, exitUsage, "unknown shorthand flag"},
		{nil, exitUsage, "missing PARTITION"},
	} {
		var out bytes.Buffer
		if code := run(context.Background(), append([]string{"rebuild"}, tc.args...), strings.NewReader(""), &out,
			&out); code != tc.code || !strings.Contains(out.String(), tc.text) {
			t.Errorf("%v: exit code %d, want %d: %s", tc.args, code, tc.code, out.String())
		}
	}
	for _, p := range []string{"17", "meta"} {
		if _, err := os.Stat(filepath.Join(node, "rebuild", p)); err != nil {
			t.Error(err)
		}
	}
}
