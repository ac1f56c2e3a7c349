//go:build processes

package processes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"pxkv/node/kv"
)

// viewer asks nodes about the cluster, apart from the clients that are measured. A node that has few processors, or
// waits for its disk, may take seconds.
var viewer = &http.Client{Timeout: 10 * time.Second}

// look asks a node and returns the answer's body and headers, or an error for any status but 200.
func (n *node) look(path string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, n.url()+path, nil)
	if err != nil {
		return nil, nil, err
	}
	resp, err := viewer.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return nil, nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("GET %s: %s: %.300s", path, resp.Status, body)
	}
	return body, resp.Header, nil
}

func see[T any](n *node, path string) (view T, err error) {
	body, _, err := n.look(path)
	if err != nil {
		return view, err
	}
	return view, json.Unmarshal(body, &view)
}

func (n *node) ready() error {
	_, _, err := n.look("/readyz")
	return err
}

func (n *node) view() (kv.ClusterView, error) { return see[kv.ClusterView](n, "/cluster") }

func (n *node) partitions() ([]kv.PartitionView, error) {
	return see[[]kv.PartitionView](n, "/cluster/partitions")
}

func (n *node) owner(key string) (kv.OwnerView, error) {
	return see[kv.OwnerView](n, "/cluster/owner?key="+url.QueryEscape(key))
}

// leaderOf returns the node that leads the partition of a key. While a leadership is handed over nobody is known to.
func (c *cluster) leaderOf(key string) (leader *node) {
	c.t.Helper()
	await(c.t, "somebody leads the partition of "+key, readyAfter, func() error {
		o, err := c.nodes[0].owner(key)
		switch {
		case err != nil:
			return err
		case o.Leader == "":
			return errors.New("nobody is known to")
		}
		leader = c.named(o.Leader)
		return nil
	})
	return leader
}

// metric returns one of the node's figures.
func (n *node) metric(name string) (float64, error) {
	body, _, err := n.look("/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(rest), 64)
		}
	}
	return 0, fmt.Errorf("%s has no metric %s", n.name, name)
}

// settled returns nil when the node sees exactly these members, all of them active and
// reachable; every partition is placed on as many of them as it should be and led by the
// first; and the node holds the replicas that are placed on it and no others.
func (n *node) settled(members []*node) error {
	v, err := n.view()
	if err != nil {
		return err
	}
	var names []string
	mine := 1 // every member holds a replica of the meta group
	for _, m := range v.Members {
		if m.State != kv.Active || !m.Reachable {
			return fmt.Errorf("member %s is %s, reachable: %v", m.Name, m.State, m.Reachable)
		}
		if m.Wanted == 0 {
			return fmt.Errorf("nothing is placed on %s yet", m.Name)
		}
		names = append(names, m.Name)
		if m.Name == n.name {
			mine += m.Wanted
		}
	}
	slices.Sort(names)
	if len(names) != len(members) || slices.ContainsFunc(members, func(m *node) bool {
		return !slices.Contains(names, m.name)
	}) {
		return fmt.Errorf("the members are %v", names)
	}
	ps, err := n.partitions()
	if err != nil {
		return err
	}
	for _, p := range ps {
		if len(p.Wanted) != min(v.Replicas, len(members)) || p.Leader != p.Wanted[0].Node || !p.Complete {
			return fmt.Errorf("partition %v is led by %q and placed on %v: %s", p.Partition, p.Leader, p.Wanted,
				p.Lacks)
		}
	}
	if held, err := n.metric("pxkv_groups"); err != nil || int(held) != mine {
		return fmt.Errorf("%v replicas are here and %d are placed here (%v)", held, mine, err)
	}
	return nil
}

// spread shows who holds and leads how much, as a node sees it.
func (n *node) spread() string {
	v, err := n.view()
	if err != nil {
		return err.Error()
	}
	var out []string
	for _, m := range v.Members {
		out = append(out, fmt.Sprintf("%s holds %d and leads %d", m.Name, m.Replicas, m.Leaders))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}
