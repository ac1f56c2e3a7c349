package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// compiled returns the files of this machine's build cache that hold the packages of
// ./cmd/pxkv, compiled in the way of deploy/Dockerfile: with them in its own cache, a build in
// the container has little more to do than to link. What is not in the cache yet is compiled
// here, which costs no more than it would in the container.
func compiled(ctx context.Context, goCache string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-export", "-trimpath", "-f", "{{.Export}}", "./cmd/pxkv")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	packages := map[string]bool{} // by the name of the file: its hash, "-d"
	var files []string
	for path := range strings.FieldsSeq(string(text)) {
		packages[filepath.Base(path)] = true
		files = append(files, path)
	}
	entries, err := entriesOf(goCache, packages)
	return append(files, entries...), err
}

// entriesOf returns the small files by which go finds the packages in its cache: "v1", the
// hash of a compilation's inputs, the hash of its output and two numbers. This layout is
// not promised by anybody. When it changes nothing is found, and the build in the container
// compiles everything: slower, but not wrong, since go checks each file against its hash.
func entriesOf(goCache string, packages map[string]bool) ([]string, error) {
	entries, err := filepath.Glob(filepath.Join(goCache, "??", "*-a"))
	if err != nil {
		return nil, err
	}
	var files []string
	for _, path := range entries {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // trimmed by another go command meanwhile
		}
		if words := strings.Fields(string(text)); len(words) >= 3 && words[0] == "v1" && packages[words[2]+"-d"] {
			files = append(files, path)
		}
	}
	return files, nil
}
