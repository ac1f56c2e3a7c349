package rebalance

import (
	"fmt"
	"slices"

	"pxkv/node/kv"
)

// Next returns the next step of a group toward d, None when there is nothing to do or
// something to wait for.
//
// A configuration that is joint is finished first, whatever d says by now.
func Next(d Desired, g Group) Action {
	switch {
	case g.Pending:
		return wait("a configuration change or leader transfer is under way")
	case !slices.Contains(g.Voters, g.Self) && !slices.Contains(g.Outgoing, g.Self):
		return wait("its leader is no voter, and cannot lead")
	case len(g.Outgoing) > 0:
		return finishJoint(d, g)
	case len(d.Voters) == 0:
		return wait("the placement wants no replica")
	}
	d = resolve(d, g)
	if to := heir(d, g); g.Unsteady && to != 0 {
		return Action{Kind: Transfer, To: to, Yield: true, Why: "the leader's node stalls again and again"}
	}
	if to := heir(d, g); g.Leaving && to != 0 {
		return Action{Kind: Transfer, To: to, Why: "the leader's node leaves the cluster"}
	}
	if a, ok := removeObsoleteLearner(d, g); ok {
		return a
	}
	if a, ok := removeDeadTwins(d, g); ok {
		return a
	}
	if a, ok := addMissing(d, g); ok {
		return a
	}
	if a, ok := exchangeVoters(d, g); ok {
		return a
	}
	return drift(d, g)
}

func wait(format string, args ...any) Action {
	return Action{Kind: None, Why: fmt.Sprintf(format, args...)}
}

// finishJoint leaves the joint configuration. A leader that is no incoming voter would lose
// its leadership by that and leave the group without a leader for an election, so it hands
// over first: to the preferred leader if that one keeps up, else to whoever has most of the log.
func finishJoint(d Desired, g Group) Action {
	if slices.Contains(g.Voters, g.Self) {
		return Action{Kind: LeaveJoint, Why: "the joint change is applied"}
	}
	if len(d.Voters) > 0 {
		if first := d.Voters[0].ID; slices.Contains(g.Voters, first) && g.keepsUp(first) {
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
			return Action{
				Kind: RemoveLearner, Remove: []kv.ReplicaID{id}, Why: "the learner is not wanted any more",
			}, true
		}
	}
	return Action{}, false
}

// removeDeadTwins removes voters that stand in the way: their node is wanted under
// another id, which can be added only when they are gone, since a node has one replica of a
// partition. They are not active (see resolve), so a majority is easier to reach without
// them, and no copy that counts is lost.
func removeDeadTwins(d Desired, g Group) (Action, bool) {
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
	if len(dead) == 0 || !g.majority(g.Voters) || !g.majority(rest) {
		return Action{}, false
	}
	return Action{
		Kind: EnterJoint, Remove: dead, Why: "the node is wanted with a new replica and its old one is dead",
	}, true
}

// addMissing adds the next wanted replica as a learner: voters to be first, for others
// wait for them.
func addMissing(d Desired, g Group) (Action, bool) {
	var blocked Action
	for _, r := range d.all() {
		if g.has(r.ID) {
			continue
		}
		if _, there := g.onNode(r.Node); there {
			blocked = wait("node %s gets its new replica when its former one is no voter any more", g.called(r.Node))
			continue
		}
		return Action{Kind: AddLearner, Add: []kv.Replica{r}, Why: "the placement wants it"}, true
	}
	return blocked, blocked.Why != ""
}

// exchangeVoters makes the voters the wanted ones by one joint change, as soon as all who
// are to be promoted keep up. Why not promote those that are ready already: each state in
// between would have its own majority, often an even one, and more copies or fewer than
// anybody asked for. Only when all that is missing is late, or dead, the others go on by
// themselves.
func exchangeVoters(d Desired, g Group) (Action, bool) {
	var after []kv.ReplicaID
	late := false
	for _, r := range d.Voters {
		switch {
		case !slices.Contains(g.Learners, r.ID) || g.keepsUp(r.ID):
			after = append(after, r.ID)
		case g.Progress[r.ID].Late && !deadJoinerBlocks:
			late = true
		default:
			return wait("the replica on node %s has not caught up", g.called(r.Node)), true
		}
	}
	a := Action{Kind: EnterJoint, Why: "all new voters have caught up"}
	if late || !g.majority(after) {
		a.Why = "new voters have caught up, and others are late or dead"
		full, ok := fill(after, len(d.Voters), g)
		if !ok && late {
			return Action{}, false
		}
		if ok {
			after = full
		}
	}
	for _, id := range after {
		if slices.Contains(g.Learners, id) {
			a.Promote = append(a.Promote, id)
		}
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
	if !g.majority(g.Voters) || !g.majority(after) {
		return wait("a majority of the old or the new voters does not keep up, and the joint configuration could " +
			"not be left"), true
	}
	return a, true
}

// fill completes a set of voters, in which some wanted ones are missing or dead, by voters that
// nobody wants any more and that live: as few as make the group no worse than it was, or than it
// was wanted. It must have as many voters that live, and bear the failure of as many. false:
// nobody would be promoted by it.
func fill(after []kv.ReplicaID, wanted int, g Group) ([]kv.ReplicaID, bool) {
	if !slices.ContainsFunc(after, func(id kv.ReplicaID) bool { return slices.Contains(g.Learners, id) }) {
		return nil, false
	}
	live := min(g.count(g.Voters, g.active), wanted)
	spare := min(g.spare(g.Voters, g.active), (wanted-1)/2)
	enough := func() bool { return g.count(after, g.active) >= live && g.spare(after, g.active) >= spare }
	stay := slices.DeleteFunc(slices.Clone(g.Voters), func(id kv.ReplicaID) bool {
		return slices.Contains(after, id) || !g.active(id)
	})
	slices.SortStableFunc(stay, func(a, b kv.ReplicaID) int { return g.worth(b) - g.worth(a) })
	for _, id := range stay {
		if enough() && len(after) >= wanted {
			break
		}
		after = append(after, id)
	}
	return after, enough()
}

// worth orders voters by how much it helps to keep them: the leader, who would have to hand
// over, and then those that keep up.
func (g Group) worth(id kv.ReplicaID) int {
	switch {
	case id == g.Self:
		return 2
	case g.keepsUp(id):
		return 1
	}
	return 0
}

// drift hands leadership to the first replica in ring order, so that leaders are as evenly
// spread as the placement is. One whose node is unsteady does not get it. Who is being filled is waited for, though it
// may be late: what it got would be lost, and large states take long.
func drift(d Desired, g Group) Action {
	first := d.Voters[0]
	a := Action{Settled: settledVoters(d, g)}
	if !a.Settled {
		a.Why = missing(d, g)
	}
	switch {
	case first.ID == g.Self:
		return a
	case !slices.Contains(g.Voters, first.ID):
		a.Why = fmt.Sprintf("node %s is the preferred leader, and its replica is no voter yet", g.called(first.Node))
	case !g.keepsUp(first.ID):
		a.Why = fmt.Sprintf("node %s is the preferred leader, and does not keep up", g.called(first.Node))
	case g.Progress[first.ID].Unsteady && !driftWithoutDamping:
		a.Why = fmt.Sprintf("node %s is the preferred leader, and has not been steady for long enough",
			g.called(first.Node))
	case g.feeds() != 0:
		a.Why = fmt.Sprintf("node %s is the preferred leader, and the replica on node %s is being filled from this one",
			g.called(first.Node), g.called(g.node(g.feeds())))
	default:
		a.Kind, a.To, a.Drift, a.Why = Transfer, first.ID, true, "it is the preferred leader"
	}
	return a
}

// missing names a wanted voter that the others went on without. Somebody has to know whose node to look at: as long as
// it is like that, a former replica may stay in its place, and the member that has that one cannot leave.
func missing(d Desired, g Group) string {
	for _, r := range d.Voters {
		if slices.Contains(g.Voters, r.ID) {
			continue
		}
		fault := "has no room or is filled too slowly"
		if pr := g.Progress[r.ID]; pr.Silent || !pr.Active {
			fault = "does not answer"
		}
		return fmt.Sprintf("the replica on node %s %s, and no other one takes its place", g.called(r.Node), fault)
	}
	return "some voters are not wanted any more"
}

// settledVoters reports whether all wanted voters are voters, and there are no others.
func settledVoters(d Desired, g Group) bool {
	return len(d.Voters) == len(g.Voters) &&
		!slices.ContainsFunc(d.Voters, func(r kv.Replica) bool { return !slices.Contains(g.Voters, r.ID) })
}

// heir returns who leads instead of an unsteady leader: the next in ring order that can.
func heir(d Desired, g Group) kv.ReplicaID {
	able := func(id kv.ReplicaID) bool {
		return id != g.Self && slices.Contains(g.Voters, id) && g.keepsUp(id) && !g.Progress[id].Unsteady
	}
	for _, r := range d.Voters {
		if able(r.ID) {
			return r.ID
		}
	}
	for _, id := range g.Voters {
		if able(id) {
			return id
		}
	}
	return 0
}
