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
	goRoot, modules, goCache := t.TempDir(), t.TempDir(), t.TempDir()
	for _, name := range []string{
		filepath.Join(goRoot, "bin/go"),
		filepath.Join(goRoot, "src/fmt/print.go"),
		filepath.Join(goRoot, "src/fmt/print_test.go"),
		filepath.Join(goRoot, "src/fmt/testdata/x"),
		filepath.Join(goRoot, "src/go/doc/doc.go"),
		filepath.Join(goRoot, "src/cmd/go/main.go"),
		filepath.Join(goRoot, "doc/spec.html"),
		filepath.Join(modules, "cache/download/m/@v/v1.zip"),
		filepath.Join(modules, "m@v1/m.go"),
		filepath.Join(goCache, "ab/abcd-d"),
		filepath.Join(goCache, "ef/ef01-d"),
	} {
		write(t, name)
	}
	var stream bytes.Buffer
	from := sources{goRoot, modules, goCache, []string{filepath.Join(goCache, "ab/abcd-d")}}
	if err := writeRootFS(t.Context(), &stream, from); err != nil {
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
		"usr/local/go/src/cmd/go/main.go":       false,
		"usr/local/go/doc/spec.html":            false,
		"go/pkg/mod/m@v1/m.go":                  false,
		"go/cache/ab/abcd-d":                    true,
		"go/cache/ef/ef01-d":                    false,
	} {
		if files[name] != want {
			t.Errorf("%s: in the stream %t, want %t; it has %v", name, files[name], want,
				slices.Sorted(maps.Keys(files)))
		}
	}
}

func TestCacheEntriesAreFoundByTheirOutput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"01/0101-a": "v1 0101 abcd  100  200\n",
		"02/0202-a": "v1 0202 ef01  100  200\n", // of another package
		"03/0303-a": "v2 0303 abcd  100  200\n", // of another layout
		"04/0404-a": "",
	} {
		writeText(t, filepath.Join(dir, name), text)
	}
	got, err := entriesOf(dir, map[string]bool{"abcd-d": true})
	if want := []string{filepath.Join(dir, "01/0101-a")}; err != nil || !slices.Equal(got, want) {
		t.Errorf("entries %v, error %v; want %v", got, err, want)
	}
}

func write(t *testing.T, name string) {
	t.Helper()
	writeText(t, name, "x")
}

func writeText(t *testing.T, name, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
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
