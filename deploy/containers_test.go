//go:build containers

package deploy

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pxkv/deploy/loadcheck"
)

const (
	wholeTest    = 10 * time.Minute
	healthyAfter = 90 * time.Second // a node that starts or returns
	sharedAfter  = 2 * time.Minute  // a node that is added takes its share
	outage       = 8 * time.Second  // how long a killed node stays away
	loadBefore   = 2 * time.Second  // load before and after an event
	maxGap       = 5 * time.Second  // without any acknowledged write after a crash
	maxPut       = 10 * time.Second // for the unluckiest acknowledged write after a crash
	maxImage     = 50 << 20         // bytes
)

var (
	n1 = loadcheck.Target{Name: "n1", URL: "http://127.0.0.1:8080"}
	n2 = loadcheck.Target{Name: "n2", URL: "http://127.0.0.1:8081"}
	n3 = loadcheck.Target{Name: "n3", URL: "http://127.0.0.1:8082"}
	n4 = loadcheck.Target{Name: "n4", URL: "http://127.0.0.1:8083"}
	n5 = loadcheck.Target{Name: "n5", URL: "http://127.0.0.1:8084"}

	three = []loadcheck.Target{n1, n2, n3}
	four  = []loadcheck.Target{n1, n2, n3, n4}
	five  = []loadcheck.Target{n1, n2, n3, n4, n5}
)

// TestContainers is one story: the steps build on each other, and the first that fails ends
// it. Every step verifies every write that was acknowledged since the beginning.
func TestContainers(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), wholeTest)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	d := newDeployment(ctx, t)
	d.claim(t)
	for _, step := range []struct {
		name string
		run  func(context.Context, *testing.T, *deployment)
	}{
		{"docker compose up gives three healthy nodes", startThree},
		{"the image is small", imageIsSmall},
		{"the image says which commit it is", imageNamesItsCommit},
		{"a pair put on one node is read on another", putHereGetThere},
		{"n1 is killed and started again", killAndStart(n1)},
		{"n2 is killed and started again", killAndStart(n2)},
		{"n3 is killed and started again", killAndStart(n3)},
		{"n2 is restarted gracefully", restartGracefully},
		{"n3 loses its disk and returns with the same command line", wipe},
		{"a fourth node takes its share", addByCompose},
		{"down and up bring all four back", downAndUp},
		{"a fifth node is added with docker run", addByRun},
	} {
		begin := time.Now()
		if !t.Run(step.name, func(t *testing.T) { step.run(ctx, t, d) }) {
			t.Fatalf("ended at: %s", step.name)
		}
		say(t, "held: %s (%v)", step.name, time.Since(begin).Round(100*time.Millisecond))
	}
	say(t, "all holds: %d writes were acknowledged, every one is on every node", d.ledger.Len())
}

func startThree(ctx context.Context, t *testing.T, d *deployment) {
	d.compose(ctx, t, "up", "-d", "--build")
	for _, n := range three {
		d.waitHealthy(ctx, t, n.Name)
	}
	d.waitShare(ctx, t, three)
}

// imageNamesItsCommit needs a checkout of its own: the .git of a linked worktree is only a file.
func imageNamesItsCommit(ctx context.Context, t *testing.T, d *deployment) {
	if info, err := os.Stat(filepath.Join(d.root, ".git")); err != nil || !info.IsDir() {
		t.Skip("the sources are no checkout of their own")
	}
	commit, err := d.command(ctx, "git", "rev-parse", "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	version, err := d.command(ctx, "docker", "run", "--rm", project, "version")
	if err != nil || !strings.Contains(version, strings.TrimSpace(commit)) {
		t.Fatalf("the image says %q, the commit is %s: %v", version, commit, err)
	}
}

func imageIsSmall(ctx context.Context, t *testing.T, d *deployment) {
	size := d.imageBytes(ctx, t)
	say(t, "the image has %.1f MiB", float64(size)/(1<<20))
	if size > maxImage {
		t.Errorf("the image has %d bytes, want at most %d", size, maxImage)
	}
}

func putHereGetThere(ctx context.Context, t *testing.T, _ *deployment) {
	request(ctx, t, "PUT", n1.URL+"/kv", `{"key":"greeting","value":"hello"}`, `{"greeting":"hello"}`)
	request(ctx, t, "GET", n3.URL+"/kv?key=greeting", "", `{"greeting":"hello"}`)
}

// killAndStart proves that the others go on without the node, and that it returns. Writes
// that were under way in the killed process may end unknown; none may fail or be lost.
func killAndStart(n loadcheck.Target) func(context.Context, *testing.T, *deployment) {
	return func(ctx context.Context, t *testing.T, d *deployment) {
		sum := d.underLoad(ctx, t, three, func() {
			d.docker(ctx, t, "kill", d.container(ctx, t, n.Name))
			hold(ctx, t, outage)
			if d.state(ctx, t, n.Name) == "running" {
				t.Fatalf("%s came back by itself after docker kill", n.Name)
			}
			d.docker(ctx, t, "start", d.container(ctx, t, n.Name))
			d.waitHealthy(ctx, t, n.Name)
		})
		if sum.Failed > 0 || sum.Lost > 0 {
			t.Errorf("%d writes or reads failed and %d pairs were lost, want none", sum.Failed, sum.Lost)
		}
		atMost(t, "time without any acknowledged write", sum.LongestGap, maxGap)
		atMost(t, "slowest acknowledged write", sum.SlowestPut, maxPut)
		d.verify(ctx, t, three)
	}
}

// restartGracefully proves that a node hands its leaderships over on SIGTERM: clients of
// the other nodes see nothing.
func restartGracefully(ctx context.Context, t *testing.T, d *deployment) {
	sum := d.underLoad(ctx, t, []loadcheck.Target{n1, n3}, func() {
		d.docker(ctx, t, "restart", "--time", "30", d.container(ctx, t, "n2"))
		d.waitHealthy(ctx, t, "n2")
	})
	nothingWrong(t, sum)
	d.verify(ctx, t, three)
}

// wipe proves that a node which lost its disk gets back all that was on it, while the others
// serve.
func wipe(ctx context.Context, t *testing.T, d *deployment) {
	sum := d.underLoad(ctx, t, []loadcheck.Target{n1, n2}, func() {
		d.docker(ctx, t, "rm", "--force", d.container(ctx, t, "n3"))
		d.docker(ctx, t, "volume", "rm", d.volume(ctx, t, "n3"))
		d.compose(ctx, t, "up", "-d", "--no-recreate", "n3")
		d.waitHealthy(ctx, t, "n3")
		d.waitShare(ctx, t, three)
	})
	if sum.Failed > 0 || sum.Lost > 0 {
		t.Errorf("%d writes or reads failed and %d pairs were lost, want none", sum.Failed, sum.Lost)
	}
	d.verify(ctx, t, three)
	d.verifyOwn(ctx, t, n3)
}

// addByCompose is the way of docs/operations.md: what .env says holds for every later command.
func addByCompose(ctx context.Context, t *testing.T, d *deployment) {
	d.set(t, "COMPOSE_PROFILES=scale\n")
	sum := d.underLoad(ctx, t, three, func() {
		d.compose(ctx, t, "up", "-d", "--no-recreate")
		d.waitHealthy(ctx, t, "n4")
		d.waitShare(ctx, t, four)
	})
	nothingWrong(t, sum)
	d.verify(ctx, t, four)
}

// downAndUp proves that a cluster that was scaled out comes back whole with the plain commands.
func downAndUp(ctx context.Context, t *testing.T, d *deployment) {
	d.compose(ctx, t, "down")
	d.compose(ctx, t, "up", "-d")
	for _, n := range four {
		d.waitHealthy(ctx, t, n.Name)
	}
	d.waitShare(ctx, t, four)
	d.verify(ctx, t, four)
}

// addByRun adds a node the way of docs/operations.md: it knows one other node, and how many
// there are is none of its business.
func addByRun(ctx context.Context, t *testing.T, d *deployment) {
	sum := d.underLoad(ctx, t, four, func() {
		d.runNode(ctx, t, n5, "serve", "--join", "n1:7946")
		d.waitShare(ctx, t, five)
	})
	nothingWrong(t, sum)
	d.verify(ctx, t, five)
}

func nothingWrong(t *testing.T, sum loadcheck.Summary) {
	t.Helper()
	if sum.Failed+sum.Unknown+sum.Lost > 0 {
		t.Errorf("%d failed, %d unknown, %d lost, want none", sum.Failed, sum.Unknown, sum.Lost)
	}
}

func atMost(t *testing.T, what string, ms int64, limit time.Duration) {
	t.Helper()
	if ms > limit.Milliseconds() {
		t.Errorf("%s: %d ms, want at most %v", what, ms, limit)
	}
}
