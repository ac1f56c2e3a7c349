//go:build processes

package processes

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Every node of every test compresses what is written through it in one way or another, or not at all, and in another
// way after a restart, as is drawn. A test that says --compression itself has what it says.

// compression is what the node is told at its next start.
func (n *node) compression() []string {
	n.starts++
	if slices.Contains(n.extra, "--compression") {
		return nil
	}
	way := []string{"none", "zlib", "zstd"}[draw(n.t, "compression", n.name, n.starts).IntN(3)]
	n.t.Logf("%s, start %d: --compression %s (PROCESSES_SEED=%d)", n.name, n.starts, way, drawSeed())
	return []string{"--compression", way}
}

// compress makes a node compress in this way from its next start on.
func (n *node) compress(way string) {
	i := slices.Index(n.extra, "--compression")
	if i < 0 {
		n.extra, i = append(n.extra, "--compression", ""), len(n.extra)
	}
	n.extra[i+1] = way
}

// TestCompressionChangesAtRestarts writes through three nodes that compress differently, by both protocols, and
// restarts them with other settings: what was written is what is read, by both protocols and through every node, before
// and after; and the metrics tell of it.
func TestCompressionChangesAtRestarts(t *testing.T) {
	ways := []string{"zlib", "zstd", "none"}
	c := newCluster(t, 3)
	join := strings.Join([]string{c.nodes[0].gossip, c.nodes[1].gossip, c.nodes[2].gossip}, ",")
	for i, n := range c.nodes {
		n.extra = []string{"--join", join, "--bootstrap-expect", "3"}
		n.compress(ways[i])
		n.start()
	}
	c.awaitReady()
	c.awaitSettled()
	rng := rand.New(rand.NewPCG(drawSeed(), 1))
	want := map[string]string{}
	for round := range 3 {
		for i, n := range c.nodes {
			redis := dialRedis(t, n.resp)
			for j, size := range []int{20, 257, 3000, 200_000} {
				key := fmt.Sprintf("k%d.%d.%d", round, i, j)
				var b strings.Builder
				for b.Len() < size {
					fmt.Fprintf(&b, "row %d of many; ", rng.IntN(100))
				}
				want[key+"h"], want[key+"r"] = b.String(), b.String()+"more"
				n.putRaw(t, key+"h", want[key+"h"])
				got := redis.do([]string{"SET", key + "r", b.String()}, []string{"APPEND", key + "r", "more"})
				if got[0] != "+OK" {
					t.Fatalf("SET through %s: %q", n.name, got)
				}
			}
			packed, err := n.metric(`pxkv_compression_values_total{result="packed"}`)
			if err != nil || (packed > 0) != (ways[(i+round)%3] != "none") {
				t.Errorf("round %d, %s: %v values were packed by %s, %v", round, n.name, packed, ways[(i+round)%3], err)
			}
		}
		for _, n := range c.nodes {
			redis := dialRedis(t, n.resp)
			for key, value := range want {
				body, _, err := n.look("/kv/" + key)
				if err != nil || string(body) != value {
					t.Fatalf("round %d: GET /kv/%s through %s: %d bytes, want %d, %v", round, key, n.name, len(body),
						len(value), err)
				}
				got := redis.do([]string{"GETRANGE", key, "3", "9"}, []string{"STRLEN", key})
				if got[0] != "$"+strconv.Quote(value[3:10]) || got[1] != fmt.Sprint(":", len(value)) {
					t.Fatalf("round %d: %s through %s is %q", round, key, n.name, got)
				}
			}
		}
		for i, n := range c.nodes {
			n.compress(ways[(i+round+1)%3])
			n.terminate()
			n.start()
			n.awaitReady()
		}
		c.awaitSettled()
	}
}

func (n *node) putRaw(t *testing.T, key, value string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, n.url()+"/kv/"+key, strings.NewReader(value))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain")
	resp, err := viewer.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		t.Fatalf("PUT /kv/%s through %s: %s", key, n.name, resp.Status)
	}
}
