//go:build processes

package processes

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"pxkv/node/kv"
	"pxkv/ring"
)

// cargo is what there is to be moved at one moment: where the replicas of each partition are wanted, how many bytes one
// has, and how many bytes snapshots have brought to all nodes until then.
type cargo struct {
	placement map[kv.PartitionID][]string
	sizes     map[kv.PartitionID]int64
	arrived   int64
}

// moved is what was moved between two moments, and the least that had to be.
type moved struct {
	bytes, leastBytes       int64
	replicas, leastReplicas int64
}

// weigh looks at the cargo.
func (d *drama) weigh() cargo {
	d.t.Helper()
	v, err := d.members[0].view()
	if err != nil {
		d.t.Fatal(err)
	}
	sizes, err := stateSizes(d.t.Context(), d.members[0], v.Partitions)
	if err != nil {
		d.t.Fatalf("list all pairs: %v", err)
	}
	return cargo{placement: d.placement(), sizes: sizes, arrived: d.arrived.read(d)}
}

// since is what was moved since a moment.
func (d *drama) since(before *cargo) (m moved) {
	d.t.Helper()
	after := d.placement()
	m.bytes = d.arrived.read(d) - before.arrived
	m.replicas, m.leastReplicas = built(before.placement, after, func(kv.PartitionID) int64 { return 1 })
	_, m.leastBytes = built(before.placement, after, func(p kv.PartitionID) int64 { return before.sizes[p] })
	return m
}

// arrivals is what snapshots have brought to each process, as it was last read: the count of a process ends with it.
// Whoever ends one reads first.
type arrivals map[*process]int64

// read asks all nodes that run, and returns what all have received since the beginning.
func (a *arrivals) read(d *drama) (sum int64) {
	d.t.Helper()
	if *a == nil {
		*a = arrivals{}
	}
	for _, n := range d.nodes {
		if n.process == nil || !n.process.running() {
			continue
		}
		bytes, err := n.metric(`pxkv_disk_snapshot_bytes_total{direction="in"}`)
		if err != nil {
			d.t.Fatalf("ask %s what it has received: %v", n.name, err)
		}
		(*a)[n.process] = int64(bytes)
	}
	for _, bytes := range *a {
		sum += bytes
	}
	return sum
}

// placement is where the replicas of each partition are wanted.
func (d *drama) placement() map[kv.PartitionID][]string {
	d.t.Helper()
	ps, err := d.members[0].partitions()
	if err != nil {
		d.t.Fatal(err)
	}
	out := map[kv.PartitionID][]string{}
	for _, p := range ps {
		for _, r := range p.Wanted {
			out[p.Partition] = append(out[p.Partition], r.Node)
		}
	}
	return out
}

// stateSizes lists all pairs, and returns how many bytes the keys and values of each partition have.
func stateSizes(ctx context.Context, n *node, partitions int) (map[kv.PartitionID]int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url()+"/kv?format=ndjson", nil)
	if err != nil {
		return nil, err
	}
	resp, err := filler.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s", resp.Status)
	}
	out := map[kv.PartitionID]int64{}
	lines := json.NewDecoder(bufio.NewReader(resp.Body))
	for lines.More() {
		var pair struct {
			Key   string
			Value json.RawMessage
		}
		if err := lines.Decode(&pair); err != nil {
			return nil, err
		}
		out[ring.PartitionOfKey([]byte(pair.Key), partitions)] += int64(len(pair.Key) + valueBytes(pair.Value))
	}
	return out, nil
}

// valueBytes is how long a value is that a list shows as JSON.
func valueBytes(shown json.RawMessage) int {
	var text string
	if json.Unmarshal(shown, &text) == nil {
		return len(text)
	}
	var binary struct {
		Base64 string `json:"$binary"`
	}
	if json.Unmarshal(shown, &binary) == nil && binary.Base64 != "" {
		return base64.StdEncoding.DecodedLen(len(binary.Base64))
	}
	return len(shown)
}

// built sums up what the replicas weigh that were built from one placement to the next, and the least that had to be
// built: what newcomers hold now, or what those held that have gone, as far as others could take it.
func built(before, after map[kv.PartitionID][]string, weight func(kv.PartitionID) int64) (sum, least int64) {
	held := func(of map[kv.PartitionID][]string) map[string]int64 {
		n := map[string]int64{}
		for p, row := range of {
			for _, name := range row {
				n[name] += weight(p)
			}
		}
		return n
	}
	was, is := held(before), held(after)
	var newcomers, gone, total int64
	for name, n := range is {
		if _, there := was[name]; !there {
			newcomers += n
		}
	}
	for name, n := range was {
		if _, there := is[name]; !there {
			gone += n
		}
	}
	for p, row := range after {
		total += int64(len(row)-len(before[p])) * weight(p)
		for _, name := range row {
			if !slices.Contains(before[p], name) {
				sum += weight(p)
			}
		}
	}
	return sum, max(newcomers, gone+total)
}

func TestTheLeastThatHadToBeBuilt(t *testing.T) {
	t.Parallel()
	one := func(kv.PartitionID) int64 { return 1 }
	tenfold := func(p kv.PartitionID) int64 { return 10 * int64(p+1) }
	for _, c := range []struct {
		what               string
		before, after      map[kv.PartitionID][]string
		weight             func(kv.PartitionID) int64
		wantSum, wantLeast int64
	}{
		{"nothing moved", map[kv.PartitionID][]string{0: {"a"}}, map[kv.PartitionID][]string{0: {"a"}}, one, 0, 0},
		{"a newcomer takes one of two", map[kv.PartitionID][]string{0: {"a"}, 1: {"a"}},
			map[kv.PartitionID][]string{0: {"a"}, 1: {"b"}}, tenfold, 20, 20},
		{"more replicas of each", map[kv.PartitionID][]string{0: {"a"}, 1: {"a"}},
			map[kv.PartitionID][]string{0: {"a", "b"}, 1: {"b", "a"}}, tenfold, 30, 30},
		{"one goes and another two swap for nothing",
			map[kv.PartitionID][]string{0: {"a"}, 1: {"b"}, 2: {"c"}},
			map[kv.PartitionID][]string{0: {"b"}, 1: {"c"}, 2: {"b"}}, one, 3, 1},
		{"one goes, and nobody is left for its replica", map[kv.PartitionID][]string{0: {"a", "b"}},
			map[kv.PartitionID][]string{0: {"a"}}, tenfold, 0, 0},
	} {
		if sum, least := built(c.before, c.after, c.weight); sum != c.wantSum || least != c.wantLeast {
			t.Errorf("%s: %d built and %d had to be, want %d and %d", c.what, sum, least, c.wantSum, c.wantLeast)
		}
	}
}
