package rebalance

import (
	"slices"

	"pxkv/node/kv"
)

// resolve replaces wanted replicas by their twins. A twin is a replica under another id on
// the very node that the placement wants, still in the configuration. It comes about when the
// placement takes a partition from a node and gives it back before the move was done: the
// wanted id is a new one then, for the meta group cannot know that the old one is still
// there, and a removed id must never come back.
//
// A twin that is active serves as well as the replica that is wanted, and is kept in its place
// for as long as it is wanted there: to exchange it would mean one copy fewer until the node has
// received, once more, what it has. (When it is the only voter it could not be exchanged at
// all.) A twin that is not active has perhaps lost its data and is exchanged. The way is
// one-way: a wanted id is added only when no twin is left, so it never comes and goes.
func resolve(d Desired, g Group) Desired {
	stand := func(wanted []kv.Replica) []kv.Replica {
		out := slices.Clone(wanted)
		for i, r := range out {
			if g.has(r.ID) {
				continue
			}
			for _, id := range slices.Concat(g.Voters, g.Learners) {
				if g.node(id) == r.Node && !d.wants(id) && g.active(id) {
					out[i].ID = id
					break
				}
			}
		}
		return out
	}
	return Desired{Voters: stand(d.Voters), Learners: stand(d.Learners)}
}

func (d Desired) all() []kv.Replica { return slices.Concat(d.Voters, d.Learners) }

func (d Desired) wants(id kv.ReplicaID) bool {
	return slices.ContainsFunc(d.all(), func(r kv.Replica) bool { return r.ID == id })
}

// has reports whether id is in the configuration, which is not joint.
func (g Group) has(id kv.ReplicaID) bool {
	return slices.Contains(g.Voters, id) || slices.Contains(g.Learners, id)
}

// node returns the node of a replica, 0 when it is not known.
func (g Group) node(id kv.ReplicaID) kv.NodeID {
	for _, r := range g.Replicas {
		if r.ID == id {
			return r.Node
		}
	}
	return 0
}

// called is what people call a node.
func (g Group) called(id kv.NodeID) string {
	if g.Names != nil {
		if name := g.Names(id); name != "" {
			return name
		}
	}
	return id.String()
}

// onNode returns a replica of the configuration, which is not joint, on this node.
func (g Group) onNode(node kv.NodeID) (kv.ReplicaID, bool) {
	for _, r := range g.Replicas {
		if r.Node == node && g.has(r.ID) {
			return r.ID, true
		}
	}
	return 0, false
}

func (g Group) active(id kv.ReplicaID) bool { return id == g.Self || g.Progress[id].Active }

// reachable reports whether a replica is there and takes entries.
func (g Group) reachable(id kv.ReplicaID) bool {
	pr := g.Progress[id]
	return id == g.Self || (pr.Active && !pr.Silent && !pr.Snapshot)
}

// keepsUp reports whether a replica is there, takes entries, and has all that the leader had
// some ticks ago. In the words of the Raft dissertation (4.2.1): its last round was short enough.
func (g Group) keepsUp(id kv.ReplicaID) bool {
	if id == g.Self {
		return true
	}
	match := g.Progress[id].Match
	if match == 0 {
		return false // nothing was ever acknowledged: it may not even exist, however short the log is
	}
	return g.reachable(id) && match >= g.Goal
}

// feeds returns a replica that is being filled from this leader and is not there yet, 0 when there is none.
func (g Group) feeds() kv.ReplicaID {
	for _, r := range g.Replicas {
		if g.Progress[r.ID].Fed && !g.keepsUp(r.ID) {
			return r.ID
		}
	}
	return 0
}

// majority reports whether more than half of these voters keep up.
func (g Group) majority(voters []kv.ReplicaID) bool {
	return g.count(voters, g.keepsUp) > len(voters)/2
}

func (g Group) count(voters []kv.ReplicaID, is func(kv.ReplicaID) bool) int {
	n := 0
	for _, id := range voters {
		if is(id) {
			n++
		}
	}
	return n
}

// spare returns how many of these voters may fail before there is no majority, negative when
// there is none already, counting as alive those that are.
func (g Group) spare(voters []kv.ReplicaID, is func(kv.ReplicaID) bool) int {
	return g.count(voters, is) - (len(voters)/2 + 1)
}
