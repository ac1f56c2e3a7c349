//go:build containers

package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pxkv/deploy/loadcheck"
	"pxkv/node/kv"
)

var started = time.Now()

// say prints a line with the time since the start.
func say(t *testing.T, format string, args ...any) {
	t.Helper()
	fmt.Fprintf(t.Output(), "%6.1fs  %s\n", time.Since(started).Seconds(), fmt.Sprintf(format, args...))
}

// underLoad runs event between a quiet beginning and end, while a load goes through targets.
func (d *deployment) underLoad(ctx context.Context, t *testing.T, targets []loadcheck.Target,
	event func()) loadcheck.Summary {
	t.Helper()
	d.loads++
	load := loadcheck.Load{Prefix: fmt.Sprintf("load%d-", d.loads), Targets: targets, Ledger: &d.ledger}
	running, stop := context.WithCancel(ctx)
	type result struct {
		sum loadcheck.Summary
		err error
	}
	ended := make(chan result, 1)
	go func() {
		sum, err := load.Run(running)
		ended <- result{sum, err}
	}()
	// An event that fails ends this goroutine: the load must end with it.
	var r result
	func() {
		defer func() {
			stop()
			r = <-ended
			say(t, "load: %v", r.sum)
		}()
		hold(ctx, t, loadBefore)
		event()
		hold(ctx, t, loadBefore)
	}()
	if r.err != nil {
		t.Fatal(r.err)
	}
	if r.sum.Acked == 0 {
		t.Fatal("no write was acknowledged")
	}
	return r.sum
}

// verify reads every write that was acknowledged since the beginning.
func (d *deployment) verify(ctx context.Context, t *testing.T, targets []loadcheck.Target) {
	t.Helper()
	begin := time.Now()
	if err := d.ledger.Verify(ctx, targets); err != nil {
		t.Fatal(err)
	}
	say(t, "%d pairs are on each of %d nodes, read in %v", d.ledger.Len(), len(targets),
		time.Since(begin).Round(100*time.Millisecond))
}

// waitShare waits until exactly these nodes are members, every partition is led where the
// placement wants it, each node has a fair share, and nothing is left of a replica that moved.
func (d *deployment) waitShare(ctx context.Context, t *testing.T, nodes []loadcheck.Target) {
	t.Helper()
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	begin := time.Now()
	var view kv.ClusterView
	waitFor(ctx, t, "replicas and leaders are shared by "+strings.Join(names, " "), sharedAfter, func() error {
		var partitions []kv.PartitionView
		if err := errors.Join(show(ctx, nodes[0], "/cluster", &view),
			show(ctx, nodes[0], "/cluster/partitions", &partitions)); err != nil {
			return err
		}
		if err := shareOf(view, names); err != nil {
			return err
		}
		for _, p := range partitions {
			if p.Leader != p.Wanted[0].Node || !p.Complete {
				return fmt.Errorf("partition %s is led by %q, not by %q, or lacks something: %s %s", p.Partition,
					p.Leader, p.Wanted[0].Node, p.Lacks, describe(view))
			}
		}
		return inPlace(ctx, view, nodes)
	})
	say(t, "shared after %v: %s", time.Since(begin).Round(100*time.Millisecond), describe(view))
}

// shareOf checks who the members are and how much belongs to each. How evenly the ring places
// is for its own tests: it bounds the share from above. From below, a quarter of the leaders
// and half of the replicas is what a node practically always has; once in twenty times one of
// five nodes has less than half of its leaders.
func shareOf(v kv.ClusterView, names []string) error {
	members := map[string]kv.MemberView{}
	replicas, leaders := 0, 0
	for _, m := range v.Members {
		members[m.Name] = m
		replicas += m.Replicas
		leaders += m.Leaders
	}
	if len(v.Members) != len(names) || replicas != v.Partitions*min(v.Replicas, len(names)) || leaders != v.Partitions {
		return fmt.Errorf("not settled: %s", describe(v))
	}
	for _, name := range names {
		m, ok := members[name]
		share := 1 / float64(len(names))
		fair := func(have, all int, least float64) bool {
			return float64(have) >= least*share*float64(all) && float64(have) <= 1.3*share*float64(all)
		}
		if !ok || !fair(m.Replicas, replicas, 0.5) || !fair(m.Leaders, leaders, 0.25) {
			return fmt.Errorf("%s has no fair share: %s", name, describe(v))
		}
	}
	return nil
}

// inPlace checks that each node holds as many replicas as are placed on it, by its own word.
func inPlace(ctx context.Context, v kv.ClusterView, nodes []loadcheck.Target) error {
	for _, n := range nodes {
		i := slices.IndexFunc(v.Members, func(m kv.MemberView) bool { return m.Name == n.Name })
		held, err := replicasOn(ctx, n)
		if err != nil {
			return err
		}
		if placed := v.Members[i].Wanted; held != placed {
			return fmt.Errorf("%s holds %d replicas of partitions, %d belong there", n.Name, held, placed)
		}
	}
	return nil
}

// replicasOn returns how many replicas of partitions a node holds, by its metrics.
func replicasOn(ctx context.Context, n loadcheck.Target) (int, error) {
	body, err := ask(ctx, "GET", n.URL+"/metrics", "")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(body) {
		if figure, ok := strings.CutPrefix(line, "pxkv_groups "); ok {
			groups, err := strconv.Atoi(strings.TrimSpace(figure))
			return groups - 1, err // but the meta group, which is everywhere
		}
	}
	return 0, fmt.Errorf("%s has no metric pxkv_groups", n.Name)
}

func describe(v kv.ClusterView) string {
	var b strings.Builder
	fmt.Fprintf(&b, "epoch %d, %d partitions:", v.Epoch, v.Partitions)
	for _, m := range v.Members {
		fmt.Fprintf(&b, " %s %s with %d replicas and %d leaders;", m.Name, m.State, m.Replicas, m.Leaders)
	}
	return strings.TrimSuffix(b.String(), ";")
}

// show asks a node for one of its views.
func show(ctx context.Context, n loadcheck.Target, path string, view any) error {
	body, err := ask(ctx, "GET", n.URL+path, "")
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(body), view)
}

// request checks one request's answer, which must be JSON like want.
func request(ctx context.Context, t *testing.T, method, url, body, want string) {
	t.Helper()
	answer, err := ask(ctx, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	say(t, "%s %s %s: %s", method, url, body, answer)
	var got, wanted map[string]string
	if json.Unmarshal([]byte(answer), &got) != nil || json.Unmarshal([]byte(want), &wanted) != nil ||
		fmt.Sprint(got) != fmt.Sprint(wanted) {
		t.Fatalf("%s %s: answer %s, want %s", method, url, answer, want)
	}
}

func ask(ctx context.Context, method, url, body string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s %s: %s: %.300s", method, url, resp.Status, text)
	}
	return strings.TrimSpace(string(text)), nil
}

// verifyOwn reads every acknowledged write from a node's own disk.
func (d *deployment) verifyOwn(ctx context.Context, t *testing.T, n loadcheck.Target) {
	t.Helper()
	begin := time.Now()
	if err := d.ledger.VerifyOwn(ctx, n); err != nil {
		t.Fatal(err)
	}
	say(t, "%d pairs are on the own disk of %s, read in %v", d.ledger.Len(), n.Name,
		time.Since(begin).Round(100*time.Millisecond))
}

// waitFor polls until check returns nil; the last error says what is missing.
func waitFor(ctx context.Context, t *testing.T, what string, limit time.Duration, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// hold lets a state last, for the load to meet it.
func hold(ctx context.Context, t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-ctx.Done():
		t.Fatal(context.Cause(ctx))
	case <-time.After(d):
	}
}
