package rebalance

import (
	"fmt"
	"slices"

	"pxkv/node/kv"
)

// Next returns the next step of a group toward d, None when there is nothing to do or
// something to wait for. A learner counts as caught up within caughtUp entries of the
// leader's last index.
//
// A configuration that is joint is finished first, whatever d says by now.
func Next(d Desired, g Group, caughtUp uint64) Action {
	switch {
	case g.Pending:
		return wait("a configuration change or leader transfer is under way")
	case !slices.Contains(g.Voters, g.Self) && !slices.Contains(g.Outgoing, g.Self):
		return wait("replica %d is not a voter and cannot lead", g.Self)
	case len(g.Outgoing) > 0:
		return finishJoint(d, g, caughtUp)
	case len(d.Voters) == 0:
		return wait("the placement wants no replica")
	}
	d = resolve(d, g)
	if a, ok := removeObsoleteLearner(d, g); ok {
		return a
	}
	if a, ok := removeDeadTwins(d, g, caughtUp); ok {
		return a
	}
	if a, ok := addMissing(d, g); ok {
		return a
	}
	if a, ok := exchangeVoters(d, g, caughtUp); ok {
		return a
	}
	return drift(d, g, caughtUp)
}

func wait(format string, args ...any) Action {
	return Action{Kind: None, Why: fmt.Sprintf(format, args...)}
}

// finishJoint leaves the joint configuration. A leader that is no incoming voter would lose
// its leadership by that and leave the group without a leader for an election, so it hands
// over first: to the preferred leader if that one keeps up, else to whoever has most of the log.
func finishJoint(d Desired, g Group, caughtUp uint64) Action {
	if slices.Contains(g.Voters, g.Self) {
		return Action{Kind: LeaveJoint, Why: "the joint change is applied"}
	}
	if len(d.Voters) > 0 {
		if first := d.Voters[0].ID; slices.Contains(g.Voters, first) && g.keepsUp(first, caughtUp) {
			return Action{Kind: Transfer, To: first, Why: "the leader leaves the group"}
		}
	}
	var to kv.ReplicaID
	for _, id := range g.Voters {
		if g.reachable(id) && (to == 0 || g.Progress[id].Match > g.Progress[to].Match) {
			to = id
		}
	}
	if to == 0 {
		return wait("the leader leaves the group and none of the new voters can be reached")
	}
	return Action{Kind: Transfer, To: to, Why: "the leader leaves the group"}
}

// removeObsoleteLearner removes a learner that nobody wants any more. It needs no
// replacement, for learners count nowhere.
func removeObsoleteLearner(d Desired, g Group) (Action, bool) {
	for _, id := range g.Learners {
		if !d.wants(id) {
			return Action{Kind: RemoveLearner, Remove: []kv.ReplicaID{id}, Why: "the learner is not wanted any more"}, true
		}
	}
	return Action{}, false
}

// removeDeadTwins removes voters that stand in the way: their node is wanted under
// another id, which can be added only when they are gone, since a node has one replica of a
// partition. They are not active (see resolve), so a majority is easier to reach without
// them, and no copy that counts is lost.
func removeDeadTwins(d Desired, g Group, caughtUp uint64) (Action, bool) {
	var dead, rest []kv.ReplicaID
	for _, id := range g.Voters {
		if node := g.node(id); !d.wants(id) && node != 0 && slices.ContainsFunc(d.all(), func(r kv.Replica) bool {
			return r.Node == node && !g.has(r.ID)
		}) {
			dead = append(dead, id)
		} else {
			rest = append(rest, id)
		}
	}
	if len(dead) == 0 || !g.majority(g.Voters, caughtUp) || !g.majority(rest, caughtUp) {
		return Action{}, false
	}
	return Action{Kind: EnterJoint, Remove: dead, Why: "the node is wanted with a new replica and its old one is dead"}, true
}

// addMissing adds the next wanted replica as a learner: voters to be first, for others
// wait for them.
func addMissing(d Desired, g Group) (Action, bool) {
	var blocked Action
	for _, r := range d.all() {
		if g.has(r.ID) {
			continue
		}
		if twin, ok := g.onNode(r.Node); ok {
			blocked = wait("replica %d cannot be added while replica %d of node %s is a voter", r.ID, twin, r.Node)
			continue
		}
		return Action{Kind: AddLearner, Add: []kv.Replica{r}, Why: "the placement wants it"}, true
	}
	return blocked, blocked.Why != ""
}

// exchangeVoters makes the voters the wanted ones by one joint change, as soon as all who
// are to be promoted have caught up. Why not promote those that are ready already: each
// state in between would have its own majority, often an even one, and more copies or
// fewer than anybody asked for.
func exchangeVoters(d Desired, g Group, caughtUp uint64) (Action, bool) {
	a := Action{Kind: EnterJoint, Why: "all new voters have caught up"}
	var after []kv.ReplicaID
	for _, r := range d.Voters {
		after = append(after, r.ID)
		if !slices.Contains(g.Learners, r.ID) {
			continue
		}
		if !g.keepsUp(r.ID, caughtUp) {
			return wait("replica %d on node %s has not caught up", r.ID, r.Node), true
		}
		a.Promote = append(a.Promote, r.ID)
	}
	for _, id := range g.Voters {
		switch {
		case slices.Contains(after, id):
		case d.wants(id):
			a.Demote = append(a.Demote, id)
		default:
			a.Remove = append(a.Remove, id)
		}
	}
	if len(a.Promote)+len(a.Demote)+len(a.Remove) == 0 {
		return Action{}, false
	}
	if !g.majority(g.Voters, caughtUp) || !g.majority(after, caughtUp) {
		return wait("a majority of the old or the new voters does not keep up, and the joint configuration could not be left"), true
	}
	return a, true
}

// drift hands leadership to the first replica in ring order, so that leaders are as evenly
// spread as the placement is.
func drift(d Desired, g Group, caughtUp uint64) Action {
	first := d.Voters[0]
	if first.ID == g.Self {
		return Action{Kind: None, Settled: true}
	}
	if !g.keepsUp(first.ID, caughtUp) {
		a := wait("replica %d on node %s is the preferred leader and does not keep up", first.ID, first.Node)
		a.Settled = true
		return a
	}
	return Action{Kind: Transfer, To: first.ID, Drift: true, Settled: true, Why: "it is the preferred leader"}
}
