// Package rebalance moves replicas to where the placement wants them. Next, a pure planner,
// says what the next step of one Raft group is, given what the placement wants for it and what
// its leader sees of it; Executor carries the steps out.
//
// Nouns: Desired (the placement's wish for one group), Group (what its leader sees),
// Action (one step), twin (a replica under an older id on a node that the placement
// wants, see resolve).
//
// The way of a replica that moves from one node to another:
//
//	add the new one as learner -> it catches up, by snapshot and log -> one joint change that
//	promotes all new voters and removes all old ones -> hand leadership over when the leader
//	is among the removed -> leave the joint configuration -> hand leadership to the first
//	replica of the row
//
// Nothing is removed before everything that replaces it is there and caught up, and a
// joint change is entered only when it can also be left: when a majority of the old voters
// and a majority of the new ones keep up.
//
// A desired replica that is dead, or that is not filled in time, is late: the others go on
// without it, old voters stay in its place, and a group never has fewer voters that live than
// before, nor bears fewer failures. The late one stays a learner, since an id that was removed
// never comes back; when it has caught up it takes the place that is kept for it.
//
// What only time can tell is remembered by the Executor and handed to Next as facts: watch (of a
// group: where its log ended some ticks ago, which learners are late) and sight (of a node: how
// often it fell silent or did not keep up).
//
// Callers: node/core makes an Executor whose Tick and Changed a replica.Host calls: with each tick, and when something
// has happened that a step waits for. Whoever drives the leader of a group calls Next again and again, carries the
// Action out, and keeps these rules:
//
//  1. One Action at a time. Group.Pending is true from the proposal of a change until it was
//     applied or is known to be lost, and while a transfer is under way. Raft silently replaces
//     a change that it rejects by an empty entry, so look at the applied configuration.
//  2. AddLearner and RemoveLearner are simple changes of one replica each. EnterJoint
//     must be proposed with explicit leaving (ConfChangeTransitionJointExplicit), LeaveJoint
//     as the empty change.
//  3. A leader with an old placement may ask to add a replica id that was removed already.
//     A change should carry the epoch of its Desired, and be applied as an empty change when
//     one of a later epoch was applied before; at the least, a node must never create again a
//     replica that it has deleted, so that such a learner stays empty until it is removed.
//  4. Transfers toward the preferred leader (Action.Drift) are not urgent: limit how many are under way (turns).
//     All other Actions are part of a move under way.
//
// Plan computes the rows of a new placement with package ring, from those of the placement that is written down, for
// the meta group to commit.
//
// Next and Plan must not read clocks or random numbers, must not depend on the order of a
// map, and must not know how a change is encoded or sent.
package rebalance
