// Package autopilot decides what becomes of members: who has drained and is removed, who has been silent for so long
// that it counts as down, who has come back, and which version the cluster has. (Consul calls the same thing so.)
//
// Nouns: Facts (what the leader of the meta group knows at one moment), Self (what a member says of itself), Step (a
// command to propose, and why), Wish (what an operator wants to become of a member), Move (what a change of members
// does to one partition).
//
// The way of a member out of the cluster:
//
//	active --asked to leave----------------> leaving --no group has a replica on it any more--> removed
//	active --silent for --replace-after,---> down -----(the same)-----------------------------> removed
//	        or given up by an operator
//	leaving, down --cancelled, heard again-> active
//
// Each arrow is one command of the meta group. Leaving and down differ in who is alive: nothing is placed on either, so
// that rebalance moves their replicas away, one group at a time and never below its majority.
//
// Callers: the node that leads the meta group gathers Facts again and again (package node), proposes the Steps, and
// forgets everything else: whoever leads next decides anew from the state. The simulation does the same. No step is
// taken by what gossip says: it can only say that somebody is alive.
//
// It reads no clock and asks nobody.
package autopilot
