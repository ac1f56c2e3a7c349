// Package member holds the decisions by which a node comes to be a member of a cluster, or ends
// being one: whether its directory is a copy (Moved, Copied), what it tells the meta group and what
// the answers mean (Introduce, Judge), which fresh nodes form a cluster (Formation), and whether a
// member may be replaced by a newcomer of its name (Inquiry).
//
// They are pure: time, and what others said, are passed in; what is to be said is given back. The
// package has no goroutine, clock, socket or disk of its own, so that node/sim decides by the same
// code as a real process does.
//
// Callers: node (Membership, and the node that leads the meta group) and node/sim.
package member
