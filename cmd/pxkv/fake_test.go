package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pxkv/node/kv"
)

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" { // a process of its own, which a test may kill
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// asCommand is the environment variable with which the test's binary is the program.
const asCommand = "PXKV_TEST_AS_COMMAND"

// outcome is how a command line ended.
type outcome struct {
	code        int
	out, errors string
}

// command runs a command line against the node at url.
func command(t *testing.T, url string, stdin io.Reader, args ...string) outcome {
	t.Helper()
	return commandContext(t.Context(), url, stdin, args...)
}

func commandContext(ctx context.Context, url string, stdin io.Reader, args ...string) outcome {
	var out, errors bytes.Buffer
	if url != "" {
		args = slices.Insert(slices.Clone(args), 1, "--server="+url)
	}
	code := run(ctx, args, stdin, &out, &errors)
	return outcome{code, out.String(), errors.String()}
}

// expect fails the test unless the outcome has this code and its texts contain the others.
func (o outcome) expect(t *testing.T, code int, out, errors string) {
	t.Helper()
	if o.code != code || !strings.Contains(o.out, out) || !strings.Contains(o.errors, errors) {
		t.Fatalf("want code %d, %q on stdout, %q on stderr; got code %d\nstdout: %s\nstderr: %s",
			code, out, errors, o.code, o.out, o.errors)
	}
}

// fakeNode speaks the HTTP API as far as the commands need it.
type fakeNode struct {
	mu         sync.Mutex
	items      map[string]kv.Item
	clock      uint64
	pageSize   int // a list with a limit ends its page after so many; 0 is never
	cluster    kv.ClusterView
	partitions []kv.PartitionView
	safe       kv.SafeView // what it says of stopping n1; all others may stop
	wellAt     int         // from this question on it is complete
	joinedAt   int         // from this question on it knows whether a member may be stopped
	asked      int         // how often it was asked about the cluster
	onAsked    func()      // before each answer to that, with mu
	order      kv.OrderView
	plan       kv.PlanView
	orders     []string // what it was asked to change: method, path and parameters
}

func newFakeNode(t *testing.T) (*fakeNode, string) {
	t.Helper()
	n := &fakeNode{
		items: make(map[string]kv.Item),
		cluster: kv.ClusterView{
			ID: 0xabc, Name: "pxkv", Node: "n1", Epoch: 4, Version: 1, Partitions: 2, Replicas: 3, Ready: true,
			Members: []kv.MemberView{
				{
					ID: 1, Name: "n1", State: kv.Active, Reachable: true, Replicas: 2, Wanted: 2, Leaders: 2,
					Addresses: kv.Addresses{HTTP: "h1:8080", Peer: "h1:7947", Gossip: "h1:7946"},
				},
				{ID: 2, Name: "n2", State: kv.Active, Reachable: true, Replicas: 1, Wanted: 2},
			},
		},
		partitions: []kv.PartitionView{
			{
				Partition: 0, Slots: [2]int{0, 8191}, Leader: "n1", Complete: true,
				Replicas: []kv.ReplicaView{
					{Node: "n1", ID: 1, Role: kv.RoleVoter, Answers: true, Caught: true},
					{Node: "n2", ID: 2, Role: kv.RoleVoter, Answers: true, Caught: true},
				},
				Wanted: []kv.PlacedView{{Node: "n1", ID: 1}, {Node: "n2", ID: 2}},
			},
			{
				Partition: 1, Slots: [2]int{8192, 16383}, Leader: "n1",
				Replicas: []kv.ReplicaView{
					{Node: "n1", ID: 4, Role: kv.RoleVoter, Answers: true, Caught: true},
					{Node: "n2", ID: 3, Role: kv.RoleLearner, Answers: true, Behind: 7},
				},
				Lacks: "the replica on node n2 is being filled", Waits: "the replica on node n2 has not caught up",
				Wanted: []kv.PlacedView{{Node: "n2", ID: 3}, {Node: "n1", ID: 4}},
			},
		},
		safe: kv.SafeView{Node: "n1", Partitions: []kv.PartitionID{0, 1}, Meta: true},
	}
	yes := kv.YesNo{Yes: true}
	n.cluster.Health = &kv.HealthView{Served: yes, Complete: yes, MayFail: yes}
	server := httptest.NewServer(n)
	t.Cleanup(server.Close)
	return n, server.URL
}

// ServeHTTP implements http.Handler.
func (n *fakeNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case r.URL.Path == "/kv" && r.Method == http.MethodGet:
		n.list(w, r)
	case strings.HasPrefix(r.URL.EscapedPath(), "/kv/"):
		n.key(w, r, strings.TrimPrefix(r.URL.Path, "/kv/"))
	case r.URL.Path == "/readyz":
		if !n.cluster.Ready {
			refuse(w, http.StatusServiceUnavailable, n.cluster.NotReady, "not_ready")
			return
		}
		io.WriteString(w, `{"status":"ready"}`)
	case r.URL.Path == "/cluster/safe-to-stop":
		n.asked++
		switch name := r.URL.Query().Get("node"); {
		case n.asked < n.joinedAt:
			refuse(w, http.StatusServiceUnavailable, "it is in no cluster yet", "unavailable")
		case !slices.ContainsFunc(n.cluster.Members, func(m kv.MemberView) bool { return m.Name == name }):
			refuse(w, http.StatusBadRequest, fmt.Sprintf("no member is named %q", name), "invalid")
		case name == n.safe.Node:
			w.WriteHeader(http.StatusConflict)
			json.NewEncoder(w).Encode(n.safe)
		default:
			json.NewEncoder(w).Encode(kv.SafeView{Node: name, Safe: true})
		}
	case r.URL.Path == "/cluster":
		if n.asked++; n.asked == n.wellAt {
			n.cluster.Health.Complete = kv.YesNo{Yes: true}
		}
		if n.onAsked != nil {
			n.onAsked()
		}
		json.NewEncoder(w).Encode(n.cluster)
	case r.URL.Path == "/cluster/leave", r.URL.Path == "/cluster/replicas",
		strings.HasPrefix(r.URL.Path, "/cluster/members/"):
		q := r.URL.Query()
		q.Del("timeout")
		n.orders = append(n.orders, r.Method+" "+r.URL.EscapedPath()+" "+q.Encode())
		if len(n.order.Refused) > 0 {
			w.WriteHeader(http.StatusConflict)
		}
		json.NewEncoder(w).Encode(n.order)
	case r.URL.Path == "/cluster/plan":
		q := r.URL.Query()
		q.Del("timeout")
		n.orders = append(n.orders, r.Method+" "+r.URL.EscapedPath()+" "+q.Encode())
		json.NewEncoder(w).Encode(n.plan)
	case r.URL.Path == "/cluster/partitions":
		json.NewEncoder(w).Encode(n.partitions)
	default:
		refuse(w, http.StatusNotFound, "Invalid path", "")
	}
}

func refuse(w http.ResponseWriter, status int, text, code string) {
	w.WriteHeader(status)
	answer := map[string]string{"error": text}
	if code != "" {
		answer["code"] = code
	}
	json.NewEncoder(w).Encode(answer)
}

func (n *fakeNode) key(w http.ResponseWriter, r *http.Request, key string) {
	it, found := n.items[key]
	if found {
		w.Header().Set("ETag", fmt.Sprintf("%q", strconv.FormatUint(it.Version, 10)))
	}
	w.Header().Set("X-Pxkv-Partition", "5")
	w.Header().Set("X-Pxkv-Index", "77")
	w.Header().Set("X-Pxkv-Node", "n1")
	match := r.Header.Get("If-Match")
	switch {
	case match != "" && match != w.Header().Get("ETag"), r.Header.Get("If-None-Match") == "*" && found:
		refuse(w, http.StatusPreconditionFailed, "Condition not met", "condition")
	case r.Method == http.MethodPost:
		by, _ := strconv.ParseInt(r.URL.Query().Get("incr"), 10, 64)
		sum, err := strconv.ParseInt("0"+string(it.Value.Data), 10, 64)
		if err != nil {
			refuse(w, http.StatusConflict, "Value is not an integer of 64 bits", "not_integer")
			return
		}
		n.clock++
		n.items[key] = kv.Item{
			Value: kv.RawValue(strconv.AppendInt(nil, sum+by, 10), "application/json"), Version: n.clock,
		}
		w.Header().Set("ETag", fmt.Sprintf("%q", strconv.FormatUint(n.clock, 10)))
		json.NewEncoder(w).Encode(map[string]any{"key": key, "value": sum + by})
	case r.Method == http.MethodPut:
		body, _ := io.ReadAll(r.Body)
		n.clock++
		if ttl, err := time.ParseDuration(r.URL.Query().Get("ttl")); err == nil {
			w.Header().Set("X-Pxkv-Expires", time.UnixMilli(0).Add(ttl).UTC().Format(time.RFC3339))
		}
		n.items[key] = kv.Item{Value: kv.RawValue(body, r.Header.Get("Content-Type")), Version: n.clock}
		w.Header().Set("ETag", fmt.Sprintf("%q", strconv.FormatUint(n.clock, 10)))
		if !found {
			w.WriteHeader(http.StatusCreated)
		}
	case !found:
		refuse(w, http.StatusNotFound, "Key not found", "")
	case r.Method == http.MethodDelete:
		delete(n.items, key)
		io.WriteString(w, `{"result":"Key deleted"}`)
	default:
		contentType := it.Value.ContentType
		if contentType == "" {
			contentType = map[kv.Kind]string{kv.String: "text/plain; charset=utf-8", kv.JSON: "application/json",
				kv.Binary: "application/octet-stream"}[it.Value.Kind]
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		w.Write(it.Value.Data)
	}
}

func (n *fakeNode) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit, _ := strconv.Atoi(q.Get("limit"))
	if n.pageSize > 0 && limit > n.pageSize {
		limit = n.pageSize
	}
	pairs := []string{}
	for _, key := range slices.Sorted(maps.Keys(n.items)) {
		if !strings.HasPrefix(key, q.Get("prefix")) || key < q.Get("cursor") {
			continue
		}
		if limit > 0 && len(pairs) == limit {
			w.Header().Set("X-Pxkv-Cursor", key)
			break
		}
		name, _ := json.Marshal(key)
		if q.Get("keys_only") == "true" {
			pairs = append(pairs, string(name))
			continue
		}
		value := n.items[key].Value.Data
		if n.items[key].Value.Kind == kv.String {
			value, _ = json.Marshal(string(value))
		}
		pairs = append(pairs, string(name)+":"+string(value))
	}
	brackets := "{}"
	if q.Get("keys_only") == "true" {
		brackets = "[]"
	}
	io.WriteString(w, brackets[:1]+strings.Join(pairs, ",")+brackets[1:])
}

// set gives the node a value.
func (n *fakeNode) set(key string, value kv.Value) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.clock++
	n.items[key] = kv.Item{Value: value, Version: n.clock}
}
