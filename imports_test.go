// Package pxkv_test holds the rules about the shape of this repository: which package may
// import which, and what every package and file must look like.
package pxkv_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module       = "pxkv/"
	longestFile  = 600 // lines of a file that is not a test
	everyPackage = "*"
)

// rooms are the packages and what of this module each may import, by the longest matching
// name; a name stands for the packages below it too. Arrows point down: front doors and
// links (transport) never know the node, the node never knows them, and only the binary
// knows all.
var rooms = map[string][]string{
	"node/kv":       {},
	"ring":          {"node/kv"},
	"persist":       {"node/kv", "ring"},
	"transport":     {"node/kv", "ring"},
	"node":          {"node", "persist", "ring"},
	"cmd/pxkv":      {everyPackage},
	"cmd/pxkv/load": {}, // it measures other servers too
	"deploy":        {"node/kv"},
}

// emptyWords say nothing about what is in a package.
var emptyWords = []string{"utils", "util", "helpers", "helper", "common", "manager", "base"}

// fault returns what is wrong with an import, or "".
func fault(from, to string) string {
	room := roomOf(from)
	if room == "" {
		return "package " + from + " is in none of the rooms: give it a row in imports_test.go"
	}
	if isBelow(to, room) {
		return ""
	}
	for _, allowed := range rooms[room] {
		if allowed == everyPackage || isBelow(to, allowed) {
			return ""
		}
	}
	return from + " must not import " + to
}

// roomOf returns the longest room that a package is in.
func roomOf(pkg string) string {
	longest := ""
	for room := range rooms {
		if isBelow(pkg, room) && len(room) > len(longest) {
			longest = room
		}
	}
	return longest
}

func isBelow(pkg, room string) bool { return pkg == room || strings.HasPrefix(pkg, room+"/") }

func TestImportsFollowTheArrows(t *testing.T) {
	t.Parallel()
	for dir, files := range sources(t) {
		for _, f := range files {
			for _, spec := range f.syntax.Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				to, ours := strings.CutPrefix(imported, module)
				if !ours {
					continue
				}
				if wrong := fault(dir, to); wrong != "" {
					t.Errorf("%s: %s", f.name, wrong)
				}
			}
		}
	}
}

// A rule that cannot fail proves nothing.
func TestForbiddenImportsAreFound(t *testing.T) {
	t.Parallel()
	for _, arrow := range [][2]string{
		{"transport/httpapi", "node"}, {"transport/peer", "node/replica"}, {"transport/gossip", "persist"},
		{"node", "transport/peer"}, {"node/sim", "transport/httpapi"}, {"node/kv", "ring"}, {"ring", "node/replica"},
		{"ring", "persist"}, {"persist", "node/replica"}, {"node", "cmd/pxkv"}, {"cmd/pxkv/load", "node/kv"}, {"elsewhere", "ring"},
	} {
		if fault(arrow[0], arrow[1]) == "" {
			t.Errorf("%s may import %s, but must not", arrow[0], arrow[1])
		}
	}
	for _, arrow := range [][2]string{
		{"transport/httpapi", "node/kv"}, {"transport/resp", "ring"}, {"node/replica", "persist"}, {"node", "node/meta"},
		{"cmd/pxkv", "transport/peer"}, {"cmd/pxkv", "cmd/pxkv/load"}, {"persist", "ring"}, {"ring", "node/kv"},
	} {
		if wrong := fault(arrow[0], arrow[1]); wrong != "" {
			t.Error(wrong)
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	for dir, files := range sources(t) {
		documented := slices.ContainsFunc(files, func(f source) bool {
			return f.syntax.Doc != nil && len(strings.TrimSpace(f.syntax.Doc.Text())) > 0
		})
		if !documented {
			t.Errorf("package %s has no package comment: write its doc.go", dir)
		}
	}
}

func TestNoPackageIsNamedAfterNothing(t *testing.T) {
	t.Parallel()
	for dir, files := range sources(t) {
		for _, name := range []string{path.Base(dir), files[0].syntax.Name.Name} {
			if slices.Contains(emptyWords, name) {
				t.Errorf("package %s: %q says nothing about what is in it", dir, name)
			}
		}
	}
}

func TestNoFileHasGrownTooLong(t *testing.T) {
	t.Parallel()
	for _, files := range sources(t) {
		for _, f := range files {
			if f.lines > longestFile {
				t.Errorf("%s has %d lines, more than %d: is it two things?", f.name, f.lines, longestFile)
			}
		}
	}
}

// source is a Go file that is not a test.
type source struct {
	name   string
	lines  int
	syntax *ast.File // package clause, imports and comments only
}

// sources returns the files of every package of the module by directory, whatever their
// build tags.
func sources(t *testing.T) map[string][]source {
	t.Helper()
	found := make(map[string][]source)
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || entry.Name() == "pxkv-data") {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(name))
		found[dir] = append(found[dir], source{name, bytes.Count(text, []byte("\n")), syntax})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatal("found no package: do these tests run in the root of the repository?")
	}
	t.Logf("packages: %v", slices.Sorted(maps.Keys(found)))
	return found
}
