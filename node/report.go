package node

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"pxkv/node/health"
	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/replica"
	"pxkv/node/rpc"
)

// reportMethod asks a node how the groups are that it leads.
var reportMethod = rpc.Method[*Node, struct{}, []health.Report]{
	Kind: reqReport, Repeatable: true,
	Encode:       func(struct{}, int) []byte { return rpc.NewRequest(0) },
	Decode:       decodeNothing,
	Here:         (*Node).reportHere,
	EncodeAnswer: func(r []health.Report) []byte { return encodeJSON(r) },
	DecodeAnswer: func(_ struct{}, d kv.Decoder) (r []health.Report, ok bool) {
		err := json.Unmarshal(d.Rest(), &r)
		return r, err == nil
	},
}

// decodeNothing reads a question that has no content.
func decodeNothing(_ *Node, _ kv.NodeID, d kv.Decoder) (struct{}, error) {
	if d.End() != nil {
		return struct{}{}, rpc.ErrMalformed
	}
	return struct{}{}, nil
}

const (
	// reportTime is how long the leaders of all groups may take to say how these are.
	reportTime = 2 * time.Second
	// catchTime is how long a follower that answers may take to have all that its leader had, before it is called
	// behind: some round trips and fsyncs.
	catchTime = 300 * time.Millisecond
	catchStep = 10 * time.Millisecond
	// handTime is how long a group may have no leader that reports before it is said so. While a leadership is handed
	// over, who had it may have answered after, and who takes it before.
	handTime = 300 * time.Millisecond
)

// reports asks all members how the groups are that they lead, and returns the newest word about each.
func (n *Node) reports(ctx context.Context, s *meta.State) map[kv.PartitionID]health.Report {
	ctx, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	return gather(ctx, s, func() map[kv.NodeID][]health.Report { return askAll(ctx, n, s.Members, n.report) })
}

// gather returns the newest of what all members say about each group. While none says anything of one, they are asked
// again, for handTime.
func gather(
	ctx context.Context, s *meta.State, ask func() map[kv.NodeID][]health.Report,
) map[kv.PartitionID]health.Report {
	out := map[kv.PartitionID]health.Report{}
	for end := time.Now().Add(handTime); ; {
		for _, rs := range ask() {
			for _, r := range rs {
				if former, ok := out[r.Partition]; !ok || former.Term <= r.Term {
					out[r.Partition] = r
				}
			}
		}
		if len(health.Silent(s, out)) == 0 || !time.Now().Before(end) || handedOverIsDark {
			return out
		}
		if !passes(ctx, catchStep) {
			return out
		}
	}
}

// report asks one member, or this node.
func (n *Node) report(ctx context.Context, of kv.NodeID) ([]health.Report, *kv.Error) {
	if of == n.o.ID {
		return n.reportHere(ctx, struct{}{})
	}
	return reportMethod.AskNode(ctx, n.client, of, struct{}{})
}

// askAll asks members something at one time, and returns what those have said that have answered.
func askAll[A any](
	ctx context.Context, n *Node, members []meta.Member, ask func(context.Context, kv.NodeID) (A, *kv.Error),
) map[kv.NodeID]A {
	var mu sync.Mutex
	var wg sync.WaitGroup
	out := make(map[kv.NodeID]A, len(members))
	for _, m := range members {
		wg.Go(func() {
			answer, e := ask(ctx, m.ID)
			if e != nil {
				n.log.Debug("a member has not answered a question to all", "member", m.Name, "err", e)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			out[m.ID] = answer
		})
	}
	wg.Wait()
	return out
}

// reportHere says how the groups are that this node leads. Those that have not all at once get catchTime for it:
// under load a follower is always some entries behind.
func (n *Node) reportHere(ctx context.Context, _ struct{}) ([]health.Report, *kv.Error) {
	var goals map[kv.PartitionID]uint64 // nil at the first look
	var out []health.Report
	end := time.Now().Add(catchTime)
	for {
		var now []health.Report // written by the loop, perhaps after ctx has ended
		err := n.o.Loop.Do(ctx, func(h *replica.Host) {
			now = health.Look(h, goals, n.o.Waits)
			if s := n.o.Machine.State(); s != nil {
				n.addState(now, s)
			}
		})
		if err != nil {
			return nil, kv.Errorf(kv.Unavailable, "node %s: %v", n.o.Name, err)
		}
		if goals == nil {
			goals = health.Ends(now)
		}
		if out = now; !late(out) || time.Now().After(end) {
			return out, nil
		}
		if !passes(ctx, catchStep) {
			return out, nil
		}
	}
}

// addState adds to reports what this node knows of the cluster.
func (n *Node) addState(rs []health.Report, s *meta.State) {
	for i := range rs {
		rs[i].Epoch = s.Epoch
		if rs[i].Partition == kv.Meta {
			rs[i].Unplaced, rs[i].Departures = s.PlacementOutdated(), n.steering.shown()
		}
	}
}

// late reports whether a follower that answers has not all yet.
func late(rs []health.Report) bool {
	for i := range rs {
		for _, r := range rs[i].Replicas {
			if r.Answers && !r.Caught && !r.Snapshot {
				return true
			}
		}
	}
	return false
}
