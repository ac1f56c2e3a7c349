//go:build processes

package processes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestRedisClients runs Redis's own tools and go-redis, alone and pipelined, through each of three
// nodes, and go-redis's cluster client over all of them while the leader of its keys is killed.
func TestRedisClients(t *testing.T) {
	c := startThree(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	t.Run("redis-cli", func(t *testing.T) { redisCLI(t, c) })
	t.Run("redis-benchmark", func(t *testing.T) { redisBenchmark(t, c) })
	t.Run("any node takes any key", func(t *testing.T) { anyNodeTakesAnyKey(ctx, t, c) })
	t.Run("pipelines are answered in order", func(t *testing.T) { pipelinesAreAnsweredInOrder(ctx, t, c) })
	t.Run("a scan finds everything", func(t *testing.T) { aScanFindsEverything(ctx, t, c) })
	t.Run("HTTP shows the same values", func(t *testing.T) { httpShowsTheSameValues(ctx, t, c) })
	t.Run("transactions", func(t *testing.T) { transactionsOfGoRedis(ctx, t, c) })
	t.Run("locks of libraries", func(t *testing.T) { locksOfLibraries(ctx, t, c) })
	t.Run("the cluster client goes straight to leaders", func(t *testing.T) { clusterClientGoesStraight(ctx, t, c) })
	t.Run("the cluster client outlives a leader", func(t *testing.T) { clusterClientOutlivesALeader(ctx, t, c) })
}

func plainClient(t *testing.T, n *node) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: n.resp, MaxRetries: -1, ReadTimeout: 20 * time.Second})
	t.Cleanup(func() { client.Close() })
	return client
}

func clusterClient(t *testing.T, c *cluster) *redis.ClusterClient {
	t.Helper()
	var addresses []string
	for _, n := range c.nodes {
		addresses = append(addresses, n.resp)
	}
	// go-redis asks for the topology anew after this time, and otherwise only when it is told
	// MOVED, which a dead leader does not tell. Its default is a minute.
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: addresses, ClusterStateReloadInterval: 2 * time.Second,
	})
	t.Cleanup(func() { client.Close() })
	return client
}

func anyNodeTakesAnyKey(ctx context.Context, t *testing.T, c *cluster) {
	for i := range 60 {
		key, value := fmt.Sprintf("any:%d", i), fmt.Sprint(i)
		writer, reader := plainClient(t, c.nodes[i%3]), plainClient(t, c.nodes[(i+1)%3])
		if err := writer.Set(ctx, key, value, time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		if got, err := reader.Get(ctx, key).Result(); err != nil || got != value {
			t.Fatalf("%s: %q, %v", key, got, err)
		}
		if n, err := reader.IncrBy(ctx, key, 5).Result(); err != nil || n != int64(i+5) {
			t.Fatalf("%s: %d, %v", key, n, err)
		}
		if left, err := writer.TTL(ctx, key).Result(); err != nil || left < 59*time.Minute {
			t.Fatalf("%s has %v left, %v", key, left, err)
		}
	}
}

func pipelinesAreAnsweredInOrder(ctx context.Context, t *testing.T, c *cluster) {
	client := plainClient(t, c.nodes[1])
	for round := range 5 {
		pipe := client.Pipeline()
		var sums []*redis.IntCmd
		for i := range 500 {
			sums = append(sums, pipe.Incr(ctx, fmt.Sprintf("pipe:%d:%d", round, i%50)))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			t.Fatal(err)
		}
		for i, sum := range sums {
			if sum.Val() != int64(i/50+1) {
				t.Fatalf("command %d of the pipeline: %d, want %d", i, sum.Val(), i/50+1)
			}
		}
	}
}

func aScanFindsEverything(ctx context.Context, t *testing.T, c *cluster) {
	client := plainClient(t, c.nodes[2])
	want := map[string]bool{}
	pipe := client.Pipeline()
	for i := range 2000 {
		key := fmt.Sprintf("scan:%d", i)
		want[key] = true
		pipe.Set(ctx, key, i, 0)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	// Each step is asked of another node: the cursor means the same everywhere.
	var cursor uint64
	for step := 0; ; step++ {
		keys, next, err := plainClient(t, c.nodes[step%3]).Scan(ctx, cursor, "scan:*", 100).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			delete(want, key)
		}
		if cursor = next; cursor == 0 {
			break
		}
	}
	if len(want) > 0 {
		t.Errorf("%d of 2000 keys were not found", len(want))
	}
	keys, err := client.Keys(ctx, "scan:1?").Result()
	if err != nil || len(keys) != 10 {
		t.Errorf("KEYS: %q, %v", keys, err)
	}
}

func httpShowsTheSameValues(ctx context.Context, t *testing.T, c *cluster) {
	client := plainClient(t, c.nodes[0])
	put := func(body string) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, c.nodes[1].url()+"/kv", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("PUT %s: %v, %v", body, resp, err)
		}
		resp.Body.Close()
	}
	put(`{"key":"both:text","value":"hello"}`)
	put(`{"key":"both:object","value":{"a": [1, 2]}}`)
	put(`{"key":"both:number","value":41}`)
	if n, err := client.Incr(ctx, "both:number").Result(); n != 42 || err != nil {
		t.Errorf("INCR of a number that HTTP wrote: %d, %v", n, err)
	}
	got, err := client.MGet(ctx, "both:text", "both:object", "both:number").Result()
	if want := []any{"hello", `{"a":[1,2]}`, "42"}; err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if err := client.MSet(ctx, "both:redis", "écrit", "both:bytes", "\xff\x00").Err(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/kv?key=both:number": `{"both:number":42}`,
		"/kv?key=both:redis":  `{"both:redis":"écrit"}`,
		"/kv?key=both:bytes":  `{"both:bytes":{"$binary":"/wA="}}`,
	} {
		if body, _, err := c.nodes[2].look(path); err != nil || strings.TrimSpace(string(body)) != want {
			t.Errorf("%s: %s, %v; want %s", path, body, err, want)
		}
	}
}

// transactionsOfGoRedis lets clients on all nodes add to one counter by WATCH and EXEC.
func transactionsOfGoRedis(ctx context.Context, t *testing.T, c *cluster) {
	const each = 20
	var wg sync.WaitGroup
	for _, n := range c.nodes {
		client := plainClient(t, n)
		wg.Go(func() {
			for done := 0; done < each; {
				err := client.Watch(ctx, func(tx *redis.Tx) error {
					n, err := tx.Get(ctx, "{tx}sum").Int()
					if err != nil && !errors.Is(err, redis.Nil) {
						return err
					}
					_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
						p.Set(ctx, "{tx}sum", n+1, 0)
						p.Incr(ctx, "{tx}writes")
						return nil
					})
					return err
				}, "{tx}sum")
				switch {
				case err == nil:
					done++
				case !errors.Is(err, redis.TxFailedErr):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	got, err := plainClient(t, c.nodes[0]).MGet(ctx, "{tx}sum", "{tx}writes").Result()
	if err != nil || fmt.Sprint(got) != fmt.Sprint([]any{"60", "60"}) {
		t.Errorf("%v, %v; want 60 and 60", got, err)
	}
}

func clusterClientGoesStraight(ctx context.Context, t *testing.T, c *cluster) {
	client := clusterClient(t, c)
	if err := client.Ping(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	forwarded := func() (sum float64) {
		for _, n := range c.nodes {
			v, err := n.metric(`pxkv_requests_routed_total{to="forwarded"}`)
			if err != nil {
				t.Fatal(err)
			}
			sum += v
		}
		return sum
	}
	before := forwarded()
	const keys = 300
	for i := range keys {
		key := fmt.Sprintf("straight:%d", i)
		if err := client.Set(ctx, key, i, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if got, err := client.Get(ctx, key).Int(); err != nil || got != i {
			t.Fatalf("%s: %d, %v", key, got, err)
		}
	}
	if passedOn := forwarded() - before; passedOn > keys/10 {
		t.Errorf("%v of %d commands were passed on to another node", passedOn, 2*keys)
	}
}

// clusterClientOutlivesALeader kills the leader of the keys that are written. A write whose
// answer says that it was done must be there; the client must find the new leader by itself.
func clusterClientOutlivesALeader(ctx context.Context, t *testing.T, c *cluster) {
	client := clusterClient(t, c)
	victim := c.leaderOf("{victim}")
	var acknowledged []string
	write := func(i int) error {
		key := fmt.Sprintf("{victim}:%d", i)
		err := client.Set(ctx, key, i, 0).Err()
		if err == nil {
			acknowledged = append(acknowledged, key)
		}
		return err
	}
	for i := range 50 {
		if err := write(i); err != nil {
			t.Fatal(err)
		}
	}
	victim.process.kill()
	killed := time.Now()
	failures := map[string]int{}
	i := 50
	for ; len(acknowledged) < 100; i++ {
		if err := write(i); err != nil {
			failures[strings.Fields(err.Error())[0]]++
		}
		if time.Since(killed) > 30*time.Second {
			t.Fatalf("only %d writes were done within 30 s: %v", len(acknowledged), failures)
		}
	}
	t.Logf("50 more writes were done %v after the leader was killed; failures before: %v", round(time.Since(killed)),
		failures)
	for _, key := range acknowledged {
		if got, err := client.Get(ctx, key).Result(); err != nil || !strings.HasSuffix(key, ":"+got) {
			t.Errorf("%s: %q, %v", key, got, err)
		}
	}
	victim.start()
	victim.awaitReady()
}
