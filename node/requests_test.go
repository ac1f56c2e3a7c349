package node

import (
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"pxkv/node/kv"
)

// What travels between nodes stays byte for byte what it is: nodes of other releases read it.
func TestRequestsKeepTheirBytes(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 2, replicas(1), partitions(1))
	holder := slices.IndexFunc(servers, func(s *server) bool { return s.node.Partitions()[0].Leader == s.name })
	asker := servers[1-holder]
	var mu sync.Mutex
	var sent []string
	c.net.setJudge(func(r request) fate {
		mu.Lock()
		defer mu.Unlock()
		if r.from == asker.id() && r.kind != reqLeading && r.kind != reqMeta {
			sent = append(sent, fmt.Sprintf("%d %s", r.kind, hex.EncodeToString(r.payload)))
		}
		return deliver
	})
	ctx := within(t, patience)
	n := asker.node
	_, err := n.Write(ctx, put("key", "value"))
	must(t, err)
	_, err = n.Write(ctx, &kv.Command{
		Op: kv.OpAppend, Key: []byte("key"), Value: kv.Value{Kind: kv.String, Data: []byte("s")},
	})
	must(t, err)
	_, err = n.Read(ctx, []byte("key"), kv.ReadOptions{})
	must(t, err)
	_, err = n.Read(ctx, []byte("key"), kv.ReadOptions{Consistency: kv.Stale, MinIndex: 1})
	must(t, err)
	_, err = n.Read(ctx, []byte("key"), kv.ReadOptions{Part: kv.Part{Kind: kv.RangeOfValue, Start: 1, End: 2}})
	must(t, err)
	for _, q := range []kv.ListQuery{
		{}, {Prefix: []byte("k"), From: []byte("kb"), Limit: 3, KeysOnly: true}, {Consistency: kv.Stale},
	} {
		_, err := collect(n.List(ctx, q))
		must(t, err)
	}
	_, _, err = n.Walk(ctx, 0, 10)
	must(t, err)
	_, err = n.CountKeys(ctx)
	must(t, err)
	_, err = n.CountKeysInSlot(ctx, 7)
	must(t, err)
	_, err = n.Transact(ctx, &kv.Transaction{Commands: []kv.Command{incr("n", 1), reading("n")}})
	must(t, err)
	for _, a := range n.Batch(ctx, []kv.Command{reading("key"), incr("n", 1), reading("n")}) {
		if a.Err != nil {
			t.Error(a.Err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	const golden = "testdata/requests.txt"
	got := strings.Join(slices.Compact(sent), "\n") + "\n"
	want, err := os.ReadFile(golden)
	must(t, err)
	if got != string(want) {
		t.Errorf("sent was\n%s\nwant\n%s", got, want)
	}
}
