package autopilot

import (
	"cmp"
	"slices"

	"pxkv/node/health"
	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/rebalance"
	"pxkv/ring"
)

// Move is what a change of members does to one partition.
type Move struct {
	ring.Move
	Bytes int64 // about, of each replica
}

// Moves returns what moves when the active members become others: those partitions of which something moves, by number.
func Moves(f *Facts, active []kv.NodeID, replicas int) (out []Move) {
	s, sizes := f.State, sizesOf(f)
	for _, m := range rebalance.Moves(s.Placement, rebalance.Members(s, active), s.Partitions, replicas) {
		out = append(out, Move{m, sizes[m.Partition]})
	}
	return out
}

// MovesAnew returns what happens when all replicas that are placed on a node are made anew there.
func MovesAnew(f *Facts, node kv.NodeID) (out []Move) {
	sizes, there := sizesOf(f), []kv.NodeID{node}
	for i, row := range f.State.Placement {
		if p := kv.PartitionID(i); slices.ContainsFunc(row, func(r kv.Replica) bool { return r.Node == node }) {
			out = append(out, Move{ring.Move{Partition: p, From: there, To: there}, sizes[p]})
		}
	}
	return out
}

// MovesLeft returns what is still to move until a member that departs already has no replica any more.
func MovesLeft(f *Facts, node kv.NodeID) (out []Move) {
	sizes := sizesOf(f)
	for _, p := range Left(f, node).Partitions {
		m := Move{ring.Move{Partition: p, From: []kv.NodeID{node}}, sizes[p]}
		there := f.Reports[p].Replicas
		for _, r := range f.State.Placement[p] {
			counts := func(x health.Replica) bool { return x.Node == r.Node && x.Voter }
			if !slices.ContainsFunc(there, counts) {
				m.To = append(m.To, r.Node)
			}
		}
		out = append(out, m)
	}
	return out
}

// Arriving is how many bytes each node gets by moves.
func Arriving(moves []Move) map[kv.NodeID]int64 {
	in := map[kv.NodeID]int64{}
	for _, m := range moves {
		for _, to := range m.To {
			in[to] += m.Bytes
		}
	}
	return in
}

// tooFull lists the members whose store has no room for what they get when one leaves.
func tooFull(f *Facts, leaver meta.Member, replicas int) (ids []kv.NodeID) {
	active := slices.DeleteFunc(f.State.ActiveIDs(), func(id kv.NodeID) bool { return id == leaver.ID })
	if len(active) == 0 {
		return nil
	}
	for to, bytes := range Arriving(Moves(f, active, cmp.Or(replicas, f.State.Replicas))) {
		if self, known := f.Selves[to]; known && self.Room >= 0 && bytes > self.Room {
			ids = append(ids, to)
		}
	}
	slices.Sort(ids)
	return ids
}

// AtRisk lists the partitions of moves that could not bear the failure of one more node while they move: a move needs
// a majority of the replicas before it and of those after it, and what is made anew is lost first. replicas is how many
// each partition has afterwards.
func AtRisk(f *Facts, moves []Move, replicas int) (out []kv.PartitionID) {
	for _, m := range moves {
		if len(m.From)+len(m.To) == 0 {
			continue
		}
		r, known := f.Reports[m.Partition]
		for _, node := range m.To {
			if slices.Contains(m.From, node) {
				r = without(r, node)
			}
		}
		if !known || min(len(f.State.Placement[m.Partition]), replicas) < 3 || !r.MayLoseOne() {
			out = append(out, m.Partition)
		}
	}
	return out
}

// without is what would be reported if a node did not answer.
func without(r health.Report, node kv.NodeID) health.Report {
	r.Replicas = slices.Clone(r.Replicas)
	for i := range r.Replicas {
		if r.Replicas[i].Node == node {
			r.Replicas[i].Answers = false
		}
	}
	return r
}
