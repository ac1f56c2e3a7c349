package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestRootFSHoldsWhatABuildNeedsAndNoMore(t *testing.T) {
	t.Parallel()
	goRoot, modules := t.TempDir(), t.TempDir()
	for _, name := range []string{
		filepath.Join(goRoot, "bin/go"),
		filepath.Join(goRoot, "src/fmt/print.go"),
		filepath.Join(goRoot, "src/fmt/print_test.go"),
		filepath.Join(goRoot, "src/fmt/testdata/x"),
		filepath.Join(goRoot, "src/go/doc/doc.go"),
		filepath.Join(goRoot, "doc/spec.html"),
		filepath.Join(modules, "cache/download/m/@v/v1.zip"),
		filepath.Join(modules, "m@v1/m.go"),
	} {
		write(t, name)
	}
	var stream bytes.Buffer
	if err := writeRootFS(t.Context(), &stream, goRoot, modules); err != nil {
		t.Fatal(err)
	}
	files := regularFiles(t, &stream)
	for name, want := range map[string]bool{
		"bin/sh":                                true,
		"usr/local/go/bin/go":                   true,
		"usr/local/go/src/fmt/print.go":         true,
		"usr/local/go/src/go/doc/doc.go":        true,
		"go/pkg/mod/cache/download/m/@v/v1.zip": true,
		"usr/local/go/src/fmt/print_test.go":    false,
		"usr/local/go/src/fmt/testdata/x":       false,
		"usr/local/go/doc/spec.html":            false,
		"go/pkg/mod/m@v1/m.go":                  false,
	} {
		if files[name] != want {
			t.Errorf("%s: in the stream %t, want %t; it has %v", name, files[name], want, slices.Sorted(maps.Keys(files)))
		}
	}
}

func write(t *testing.T, name string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte("x"), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func regularFiles(t *testing.T, stream io.Reader) map[string]bool {
	t.Helper()
	files := map[string]bool{}
	for r := tar.NewReader(stream); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			files[h.Name] = true
		}
	}
}
