//go:build processes

package processes

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// lockScripts are the texts that transport/resp knows word for word, by their names there.
func lockScripts(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../transport/resp/recipe_texts.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
			if texts[spec.Names[0].Name], err = strconv.Unquote(lit.Value); err != nil {
				t.Fatal(err)
			}
		}
		return true
	})
	if len(texts) < 20 {
		t.Fatalf("only %d scripts in transport/resp/recipe_texts.go", len(texts))
	}
	return texts
}

// TestRedisLockScriptsAreAnsweredAsByRedis has a real Redis carry out the Lua of each script, and compares
// its answer and what it left with those of a node.
func TestRedisLockScriptsAreAnsweredAsByRedis(t *testing.T) {
	real, ours := dialRedis(t, startRedis(t)), dialRedis(t, startOne(t).resp)
	for name, text := range lockScripts(t) {
		t.Run(name, func(t *testing.T) {
			prepareRedis(t, "2", real, ours)
			both := func(words ...string) (want, got string) {
				t.Helper()
				want, got = real.do(words)[0], ours.do(words)[0]
				if !aboutEqual(want, got) {
					t.Errorf("%.60q\nRedis answers %s\n we answer    %s", words, want, got)
				}
				return want, got
			}
			argv := []string{"me1", "50000", "0"}
			if strings.HasPrefix(name, "redislockObtain") {
				argv = []string{"me1", "2", "50000"}
			}
			sha, _ := both("SCRIPT", "LOAD", text)
			sha = sha[strings.IndexByte(sha, '"')+1 : strings.LastIndexByte(sha, '"')]
			for _, there := range [][]string{{"DEL", "k"}, {"SET", "k", "you", "PX", "90000"},
				{"SET", "k", "me1", "PX", "90000"}, {"SET", "k", "me2", "PX", "90000"}, {"SET", "k", "me1"}, {"SET",
					"k", ""}} {
				for _, way := range [][]string{{"EVAL", text}, {"EVALSHA", sha}} {
					for _, last := range []string{argv[2], "1"} {
						if last == "1" && argv[1] == "2" {
							continue // a lock for 1 ms
						}
						both(there...)
						both(append(way, "1", "k", argv[0], argv[1], last)...)
						both("GET", "k")
						both("PTTL", "k")
					}
				}
			}
		})
	}
}

// aboutEqual compares replies; those that are numbers of milliseconds, and therefore pass, up to five seconds.
func aboutEqual(a, b string) bool {
	x, errA := strconv.ParseInt(strings.TrimPrefix(a, ":"), 10, 64)
	y, errB := strconv.ParseInt(strings.TrimPrefix(b, ":"), 10, 64)
	if errA == nil && errB == nil && x > 1000 && y > 1000 {
		return x-y < 5000 && y-x < 5000
	}
	return a == b
}

// locksOfLibraries has go-redis run scripts as redsync and others do: by their SHA1, then by their text;
// only the holder gives a lock back, through whichever node.
func locksOfLibraries(ctx context.Context, t *testing.T, c *cluster) {
	texts := lockScripts(t)
	for _, pair := range [][2]string{{"redsyncDelete", "redsyncTouch"}, {"redsyncDeleteOld", "redsyncTouch"},
		{"redisPyRelease", "redisPyReacquire"}, {"redlockRelease", "redlockExtend"}} {
		// With a blank more nobody knows their SHA1 yet.
		release, extend := redis.NewScript(texts[pair[0]]+" "), redis.NewScript(texts[pair[1]]+" ")
		for i, n := range c.nodes {
			client, key := plainClient(t, n), "lock:"+pair[0]
			if ok, err := plainClient(t, c.nodes[(i+1)%3]).SetNX(ctx, key, "me", time.Minute).Result(); err != nil ||
				!ok {
				t.Fatalf("%s: acquired: %v, %v", key, ok, err)
			}
			for _, step := range []struct {
				script *redis.Script
				token  string
				want   int
			}{{release, "you", 0}, {extend, "you", 0}, {extend, "me", 1}, {release, "me", 1}, {extend, "me", 0}} {
				if got, err := step.script.Run(ctx, client, []string{key}, step.token, 90_000).Int(); err != nil ||
					got != step.want {
					t.Errorf("%s by %s through %s: %d, %v; want %d", key, step.token, n.name, got, err, step.want)
				}
			}
		}
	}
}
