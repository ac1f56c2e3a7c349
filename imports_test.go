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
// links (transport) never know the node, the node never knows them, and only the composition
// root knows all.
var rooms = map[string][]string{
	"node/kv":       {},
	"node/pack":     {"node/kv"},
	"ring":          {"node/kv"},
	"persist/codec": {},
	"persist/limit": {},
	"persist/disk":  {},
	"persist/state": {"node/kv", "persist/codec"},
	"persist/wal":   {"persist/disk"},
	"persist/raftlog": {
		"node/kv", "persist/codec", "persist/disk", "persist/limit", "persist/state", "persist/wal",
	},
	"persist/data": {
		"node/kv", "node/pack", "persist/codec", "persist/disk", "persist/limit", "persist/state",
	},
	"persist/overlay":       {},
	"persist/disktest":      {},
	"persist/formattest":    {},
	"persist":               {"node/kv", "ring"},
	"transport/gossip":      {"node/kv", "ring"},
	"transport/peer":        {"node/kv", "ring", "transport/socket"},
	"transport/resp":        {"node/kv", "ring", "transport/socket"},
	"transport/httpapi":     {"node/kv", "node/match", "transport/http1", "transport/jsontext"},
	"transport/http1":       {"transport/socket"},
	"transport/jsontext":    {"node/kv"},
	"transport/socket":      {},
	"transport/wiretest":    {}, // what tests share
	"node":                  {"node", "persist", "ring"},
	"node/match":            {"node/kv"},
	"node/health":           {"node/kv", "node/meta", "node/replica"},
	"node/entry":            {"node/kv"},
	"node/loop":             {"node/entry", "node/kv", "node/replica", "persist"},
	"node/machine":          {"node/entry", "node/kv", "persist/data", "persist/state"}, // it knows no Raft
	"node/replica":          {"node/entry", "node/kv", "persist"},                       // it knows no state machine
	"node/rpc":              {"node/kv", "node/loop", "node/meta", "node/replica"},      // it knows no operation
	"node/local":            {"node", "persist/data", "persist/state"},
	"cmd/pxkv":              {"cmd/pxkv", "node/kv", "node/meta", "node/pack", "node/salvage", "persist"},
	"cmd/pxkv/server":       {everyPackage},
	"cmd/pxkv/load":         {}, // it measures other servers too
	"cmd/pxkv/monitor":      {},
	"cmd/pxkv/transfer":     {"node/kv", "transport/jsontext"}, // it knows no HTTP
	"deploy":                {"node/kv"},
	"cmd/pxkv/transfer/rdb": {}, // it knows no pxkv
	"persist/crypt":         {"persist/codec", "persist/disk"},
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
		{"transport/httpapi", "node"}, {"node/match", "persist"}, {"transport/resp", "node/match"},
		{"transport/peer", "node/replica"}, {"transport/gossip", "persist"},
		{"node", "transport/peer"}, {"node/rpc", "node"}, {"node/rpc", "persist"}, {"node/sim", "transport/httpapi"},
		{"node/kv", "ring"}, {"ring", "node/replica"},
		{"node/replica", "node/machine"}, {"node/replica", "node/meta"}, {"node/machine", "node/replica"},
		{"node/machine", "persist/raftlog"}, {"node/entry", "persist/data"}, {"node/replica", "node/loop"},
		{"node/loop", "node/machine"}, {"node/loop", "node/meta"}, {"node/loop", "transport/peer"},
		{"ring", "persist"}, {"persist", "node/replica"}, {"node", "cmd/pxkv"}, {"cmd/pxkv/load", "node/kv"},
		{"cmd/pxkv/transfer", "cmd/pxkv"}, {"cmd/pxkv/transfer", "transport/httpapi"},
		{"elsewhere", "ring"},
		{"cmd/pxkv", "node/replica"}, {"cmd/pxkv", "transport/peer"}, {"node/sim", "cmd/pxkv/server"},
		{"transport/elsewhere", "node/kv"}, {"transport/resp", "transport/httpapi"},
		{"transport/jsontext", "transport/httpapi"},
		{"transport/http1", "transport/httpapi"}, {"transport/http1", "transport/jsontext"},
		{"transport/http1", "node/kv"},
		{"transport/socket", "node/kv"}, {"transport/gossip", "transport/socket"},
		{"node/local", "persist/raftlog"}, {"persist/data", "persist/raftlog"}, {"persist/data", "persist/wal"},
		{"persist/raftlog", "persist/data"}, {"persist/raftlog", "persist"}, {"persist/wal", "persist/raftlog"},
		{"persist/disk", "persist/wal"},
	} {
		if fault(arrow[0], arrow[1]) == "" {
			t.Errorf("%s may import %s, but must not", arrow[0], arrow[1])
		}
	}
	for _, arrow := range [][2]string{
		{"transport/httpapi", "node/kv"}, {"transport/resp", "ring"}, {"node/replica", "persist"},
		{"node/core", "node/machine"}, {"node/replica", "persist/raftlog"},
		{"node", "node/meta"},
		{"cmd/pxkv/server", "transport/peer"}, {"cmd/pxkv", "cmd/pxkv/server"}, {"persist", "ring"},
		{"ring", "node/kv"},
		{"transport/httpapi", "transport/jsontext"}, {"transport/httpapi", "transport/http1"},
	} {
		if wrong := fault(arrow[0], arrow[1]); wrong != "" {
			t.Error(wrong)
		}
	}
}

// The log of a node does not know what its entries do, nor who keeps that. Of Pebble's module it has the file
// system.
func TestTheLogDoesNotKnowPebble(t *testing.T) {
	t.Parallel()
	const pebble = "github.com/cockroachdb/pebble/v2"
	all := sources(t)
	for _, dir := range []string{"persist/raftlog", "persist/wal", "persist/disk"} {
		if len(all[dir]) == 0 {
			t.Errorf("there is no package %s", dir)
		}
		for _, f := range all[dir] {
			for _, spec := range f.syntax.Imports {
				if imported, _ := strconv.Unquote(spec.Path.Value); isBelow(imported, pebble) &&
					imported != pebble+"/vfs" {
					t.Errorf("%s must not import %s", f.name, imported)
				}
			}
		}
	}
}

// pure are the packages that decide what is replicated. Whatever they do follows from what they are given, so that
// the simulation can replay it.
var pure = []string{"node/entry", "node/machine", "node/meta", "node/replica"}

// impure are packages that no such package imports, nor what is below them, but for two: it is given its logger,
// and what it shows to other goroutines it publishes, so that nobody waits for anybody.
var (
	impure = []string{
		"context", "crypto/rand", "github.com/prometheus", "log", "math/rand", "net", "os", "sync", "syscall",
	}
	pureAfterAll = []string{"log/slog", "sync/atomic"}
)

// clocks are what of package time looks at one, or waits.
var clocks = []string{"After", "AfterFunc", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until"}

// impurities lists what a file has of the world outside.
func impurities(file *ast.File) (found []string) {
	for _, spec := range file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		if !slices.Contains(pureAfterAll, imported) &&
			slices.ContainsFunc(impure, func(room string) bool { return isBelow(imported, room) }) {
			found = append(found, "package "+imported)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, "a goroutine")
		case *ast.ChanType:
			found = append(found, "a channel")
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clocks, n.Sel.Name) {
				found = append(found, "time."+n.Sel.Name)
			}
		}
		return true
	})
	return found
}

func TestWhatIsReplicatedIsDecidedByNothingElse(t *testing.T) {
	t.Parallel()
	all := sources(t)
	for _, dir := range pure {
		if len(all[dir]) == 0 {
			t.Errorf("there is no package %s", dir)
		}
		for _, f := range all[dir] {
			whole, err := parser.ParseFile(token.NewFileSet(), f.name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, what := range impurities(whole) {
				t.Errorf("%s must be a pure step, and has %s", f.name, what)
			}
		}
	}
}

// A rule that cannot fail proves nothing.
func TestImpuritiesAreFound(t *testing.T) {
	t.Parallel()
	for want, text := range map[string]string{
		"package sync": `import "sync"`, "package math/rand/v2": `import "math/rand/v2"`,
		"package github.com/prometheus/client_golang": `import "github.com/prometheus/client_golang"`,
		"a goroutine": `func f() { go f() }`, "a channel": `func f(chan int) {}`, "time.Now": `var now = time.Now()`,
		"": `import ("log/slog"; "sync/atomic"; "time"); var d time.Duration`,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "", "package p; "+text, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(impurities(file), ", "); got != want {
			t.Errorf("%s: found %q, want %q", text, got, want)
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
			if name != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" ||
				entry.Name() == "pxkv-data") {
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
