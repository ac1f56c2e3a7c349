package node

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/rebalance"
	"pxkv/node/replica"
	"pxkv/node/rpc"
)

// completeMethod asks a member which of the groups that it leads have all their replicas.
var completeMethod = rpc.Method[*Node, struct{}, wholeness]{
	Kind: reqComplete, Repeatable: true,
	Encode: func(struct{}, int) []byte { return rpc.NewRequest(0) },
	Decode: func(_ *Node, _ kv.NodeID, d kv.Decoder) (struct{}, error) {
		if len(d.Rest()) != 0 {
			return struct{}{}, rpc.ErrMalformed
		}
		return struct{}{}, nil
	},
	Here:         (*Node).wholeHere,
	EncodeAnswer: func(w wholeness) []byte { return encodeJSON(w) },
	DecodeAnswer: func(_ struct{}, d kv.Decoder) (w wholeness, ok bool) {
		err := json.Unmarshal(d.Rest(), &w)
		return w, err == nil
	},
}

// wholeness is what one member knows of the groups that it leads.
type wholeness struct {
	Epoch kv.Epoch         `json:"epoch"` // of the placement that it knows
	Whole []kv.PartitionID `json:"whole"` // groups that it leads and that have all replicas that they should
	Lacks []kv.PartitionID `json:"lacks"` // groups that it leads and that do not
}

func (n *Node) wholeHere(ctx context.Context, _ struct{}) (wholeness, *kv.Error) {
	s := n.o.Machine.State()
	if s == nil {
		return wholeness{}, n.notJoined()
	}
	var whole, lacks []kv.PartitionID // written by the loop, perhaps after ctx has ended
	if err := n.o.Loop.Do(ctx, func(h *replica.Host) { whole, lacks = rebalance.Whole(h, s) }); err != nil {
		return wholeness{}, kv.Errorf(kv.Unavailable, "node %s: %v", n.o.Name, err)
	}
	return wholeness{Epoch: s.Epoch, Whole: whole, Lacks: lacks}, nil
}

// completeTime is how long members may take to say what they know of the groups that they lead.
const completeTime = time.Second

// Complete returns nil when nothing is to be waited for before another node may be restarted, whatever it would lose
// by that: there are three replicas at least, all members answer, the placement is made for them, and each group, the
// meta group included, has a leader which says that all replicas which it should have are voters, were heard a moment
// ago, and have its data. Else the error says what is missing.
func (n *Node) Complete(ctx context.Context) error {
	s := n.o.Machine.State()
	if s == nil {
		return n.notJoined()
	}
	ctx, cancel := context.WithTimeout(ctx, completeTime)
	defer cancel()
	type answer struct {
		from kv.NodeID
		w    wholeness
		e    *kv.Error
	}
	answers := make(chan answer, len(s.Members))
	for _, m := range s.Members {
		go func() {
			a := answer{from: m.ID}
			if m.ID == n.o.ID {
				a.w, a.e = n.wholeHere(ctx, struct{}{})
			} else {
				a.w, a.e = completeMethod.AskNode(ctx, n.client, m.ID, struct{}{})
			}
			answers <- a
		}()
	}
	said := map[kv.NodeID]wholeness{}
	for range s.Members {
		if a := <-answers; a.e == nil {
			said[a.from] = a.w
		} else {
			n.log.Debug("a member does not say what it leads", "member", nameOf(s, a.from), "err", a.e)
		}
	}
	if why := incomplete(s, said); why != "" {
		return kv.Errorf(kv.Unavailable, "%s", why)
	}
	return nil
}

// incomplete says what is missing, "" when nothing is, by what members have said, of which there is nothing from those
// that did not answer.
func incomplete(s *meta.State, said map[kv.NodeID]wholeness) string {
	const most = 10 // that are named
	var silent, behind []string
	whole := map[kv.PartitionID]bool{}
	var lacks []kv.PartitionID
	for _, m := range s.Members {
		w, answered := said[m.ID]
		switch {
		case !answered:
			silent = append(silent, m.Name)
		case w.Epoch != s.Epoch:
			behind = append(behind, m.Name)
		}
		for _, p := range w.Whole {
			whole[p] = true
		}
		lacks = append(lacks, w.Lacks...)
	}
	slices.Sort(silent)
	slices.Sort(behind)
	names := func(of []string) string { return strings.Join(of[:min(len(of), most)], ", ") }
	switch tolerant := min(len(s.ActiveIDs()), s.Replicas); {
	case tolerant < 3:
		return fmt.Sprintf("partitions have %d replicas, and with fewer than three none may be missing", tolerant)
	case len(silent) > 0:
		return "no answer from member " + names(silent)
	case s.PlacementOutdated():
		return "the members have changed, and the partitions are not placed on them yet"
	case len(behind) > 0:
		return fmt.Sprintf("member %s knows another placement", names(behind))
	case len(lacks) > 0:
		slices.Sort(lacks)
		return fmt.Sprintf("%d groups do not have all their replicas yet: partition %s", len(lacks),
			kv.PartitionList(slices.Compact(lacks), most))
	}
	var leaderless []kv.PartitionID
	for p := range s.Partitions {
		if !whole[kv.PartitionID(p)] {
			leaderless = append(leaderless, kv.PartitionID(p))
		}
	}
	if !whole[kv.Meta] {
		leaderless = append(leaderless, kv.Meta)
	}
	if len(leaderless) > 0 {
		return fmt.Sprintf("nobody leads partition %s", kv.PartitionList(leaderless, most))
	}
	return ""
}
