package main

import (
	"archive/tar"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const shell = "/bin/sh"

// sources are where a stand-in's files come from on this machine.
type sources struct {
	goRoot   string   // of the Go toolchain
	modules  string   // a module cache of which the download part is taken
	goCache  string   // a build cache
	compiled []string // the files of goCache that are taken
}

// writeRootFS writes, as one tar stream, the files that a container needs to run the steps
// of deploy/Dockerfile: a shell with its libraries, the Go toolchain, the modules and what is
// compiled already.
func writeRootFS(ctx context.Context, w io.Writer, from sources) error {
	t := tarball{ctx: ctx, w: tar.NewWriter(w)}
	libraries, err := librariesOf(ctx, shell)
	if err != nil {
		return err
	}
	return errors.Join(
		t.directory("tmp", 0o1777),
		t.file(shell, shell),
		t.files(libraries),
		t.tree(from.goRoot, "usr/local/go", leaveOut),
		t.tree(filepath.Join(from.modules, "cache", "download"), "go/pkg/mod/cache/download", nil),
		t.filesBelow(from.goCache, "go/cache", from.compiled),
		t.w.Close(),
	)
}

// librariesOf returns the shared libraries of a binary, none for a static one.
func librariesOf(ctx context.Context, binary string) ([]string, error) {
	dynamic, err := isDynamic(binary)
	if err != nil || !dynamic {
		return nil, err
	}
	text, err := output(ctx, "ldd", binary)
	if err != nil {
		return nil, err
	}
	var paths []string
	for word := range strings.FieldsSeq(text) {
		if strings.HasPrefix(word, "/") {
			paths = append(paths, word)
		}
	}
	return paths, nil
}

// isDynamic reports whether a binary asks for a dynamic linker.
func isDynamic(binary string) (bool, error) {
	f, err := elf.Open(binary)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", binary, err)
	}
	defer func() { _ = f.Close() }()
	return slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }), nil
}

// leaveOut tells which parts of a Go toolchain no build reads.
func leaveOut(name string) bool {
	switch name {
	case "test", "doc", "api", "misc", ".git", "src/cmd":
		return true
	}
	base := path.Base(name)
	return base == "testdata" || strings.HasSuffix(base, "_test.go")
}

// tarball writes files of this machine to w under other names.
type tarball struct {
	ctx context.Context
	w   *tar.Writer
}

func (t tarball) directory(name string, mode int64) error {
	return t.w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode})
}

func (t tarball) files(paths []string) error {
	for _, p := range paths {
		if err := t.file(p, p); err != nil {
			return err
		}
	}
	return nil
}

// filesBelow writes files of the folder root under the same paths below the folder name.
func (t tarball) filesBelow(root, name string, paths []string) error {
	for _, p := range paths {
		relative, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		if err := t.file(p, path.Join(name, filepath.ToSlash(relative))); err != nil {
			return err
		}
	}
	return nil
}

// file writes the file that source names or points to.
func (t tarball) file(source, name string) error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	f, err := os.Open(source)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := t.w.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg,
		Name:     strings.TrimPrefix(name, "/"),
		Mode:     int64(info.Mode().Perm()),
		Size:     info.Size(),
		ModTime:  info.ModTime(), // go compares the times of its own files
	}); err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	if _, err := io.Copy(t.w, f); err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	return nil
}

// tree writes the files below root to the folder name, but what skip names by its path
// relative to root. A nil skip leaves nothing out.
func (t tarball) tree(root, name string, skip func(string) bool) error {
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		switch {
		case skip != nil && skip(relative) && d.IsDir():
			return fs.SkipDir
		case skip != nil && skip(relative):
			return nil
		case d.IsDir():
			return t.directory(path.Join(name, relative), 0o755)
		}
		return t.file(p, path.Join(name, relative))
	})
}
