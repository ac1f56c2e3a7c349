//go:build processes

package processes

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"pxkv/node/kv"
)

const (
	probePause    = 25 * time.Millisecond // between two writes of a probe
	probePatience = time.Second           // with one write; the next follows at once
	probesPerKey  = 200                   // then a fresh key
)

// tags finds for every partition a hash tag that puts keys into it, by asking a node where
// keys live.
func tags(n *node) (map[kv.PartitionID]string, error) {
	v, err := n.view()
	if err != nil {
		return nil, err
	}
	found := map[kv.PartitionID]string{}
	for i := 0; len(found) < v.Partitions; i++ {
		tag := fmt.Sprintf("t%d", i)
		o, err := n.owner("{" + tag + "}")
		if err != nil {
			return nil, err
		}
		if _, known := found[o.Partition]; !known {
			found[o.Partition] = tag
		}
	}
	return found, nil
}

// ledBy lists the partitions that a node leads, as another one sees it.
func ledBy(leader, seenBy *node) ([]kv.PartitionID, error) {
	all, err := seenBy.partitions()
	if err != nil {
		return nil, err
	}
	var led []kv.PartitionID
	for _, p := range all {
		if p.Leader == leader.name {
			led = append(led, p.Partition)
		}
	}
	return led, nil
}

// probes write to some partitions, one each, through nodes that are not to be harmed.
type probes struct {
	crowd  *crowd
	prefix map[kv.PartitionID]string // that the keys of its probe begin with
	stop   context.CancelFunc
	wg     sync.WaitGroup
}

// probe starts probes; label must be new.
func (c *crowd) probe(label string, through []*node, partitions []kv.PartitionID,
	tags map[kv.PartitionID]string) *probes {
	ctx, stop := context.WithCancel(context.Background())
	s := &probes{crowd: c, prefix: map[kv.PartitionID]string{}, stop: stop}
	for i, p := range partitions {
		prefix := fmt.Sprintf("{%s}-%s-", tags[p], label)
		s.prefix[p] = prefix
		s.wg.Go(func() { s.write(ctx, prefix, through, i) })
	}
	return s
}

func (s *probes) write(ctx context.Context, prefix string, through []*node, turn int) {
	cl := newClient(s.crowd.history, &s.crowd.values, probePatience, s.crowd.surprise)
	defer cl.close()
	for n := 0; ctx.Err() == nil; n++ {
		op := operation{key: fmt.Sprintf("%s%d", prefix, n/probesPerKey), kind: opPut}
		cl.do(context.WithoutCancel(ctx), through[(n+turn)%len(through)], op, 0)
		select {
		case <-time.After(probePause):
		case <-ctx.Done():
		}
	}
}

// end stops the probes and waits for them.
func (s *probes) end() {
	s.stop()
	s.wg.Wait()
}

// gap is how long a partition took no writes.
type gap struct {
	partition kv.PartitionID
	time.Duration
}

// gaps returns each partition's longest time without an acknowledged write, the longest
// last. It is a little too long: by the pause between two writes and by the write itself.
func (s *probes) gaps(from, to int64) []gap {
	ops := s.crowd.history.all()
	byPrefix := map[string][]operation{}
	for _, op := range ops {
		if i := strings.LastIndexByte(op.key, '-'); op.ret >= from && i > 0 {
			byPrefix[op.key[:i+1]] = append(byPrefix[op.key[:i+1]], op)
		}
	}
	var out []gap
	for p, prefix := range s.prefix {
		out = append(out, gap{p, longestGap(byPrefix[prefix], from, to, func(*operation) bool { return true })})
	}
	slices.SortFunc(out, func(a, b gap) int {
		return cmp.Or(cmp.Compare(a.Duration, b.Duration), cmp.Compare(a.partition, b.partition))
	})
	return out
}
