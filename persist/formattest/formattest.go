// Package formattest holds persist's FORMAT.md to the code in tests: an example there is a line
//
//	name = hexadecimal bytes
//
// and each name belongs to the package that writes those bytes.
//
// Callers: tests of packages persist, crypt, raftlog and data.
package formattest

import (
	"bytes"
	"encoding/hex"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// Owner of an example: the package that writes it.
func Owner(name string) string {
	kind, _, _ := strings.Cut(name, "-")
	switch kind {
	case "crypt":
		return "crypt"
	case "op", "entry":
		return "raftlog"
	case "format", "applied", "data", "meta", "expiry", "snapshot":
		return "data"
	}
	return "persist"
}

// Hold compares the examples of one owner, byte by byte, with what the code writes.
func Hold(t *testing.T, path, owner string, code map[string][]byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	written := map[string][]byte{}
	for line := range strings.Lines(string(text)) {
		name, digits, ok := strings.Cut(strings.TrimSpace(line), " = ")
		if !ok || !strings.HasPrefix(line, "    ") || Owner(name) != owner {
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		if err != nil {
			t.Errorf("FORMAT.md: %s is no hexadecimal: %v", name, err)
		}
		written[name] = append(written[name], b...)
	}
	for _, name := range slices.Sorted(maps.Keys(code)) {
		if !bytes.Equal(written[name], code[name]) {
			t.Errorf("FORMAT.md has\n    %s = % x\nthe code writes\n    %s = % x", name, written[name], name,
				code[name])
		}
		delete(written, name)
	}
	for name := range written {
		t.Errorf("FORMAT.md has an example %s that no test knows", name)
	}
}
