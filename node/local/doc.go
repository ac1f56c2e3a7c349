// Package local is how a node reads what its own replicas hold: the one order in which a lease, a time,
// a state, an end and a deadline have to be looked at for the answer to be true.
//
//	Leased, Fresh, AsIs   may this state answer, and as of when
//	Cached, Load          the state itself
//	Seen                  which index covers it, and whether it still counted
//	Life                  what of it has expired
//
// Between any two of these steps anything may happen: entries are applied, the leadership ends, the
// replica is deleted, the process stands still. That is why they are steps. Package node goes through
// them at once, and node/sim lets time, ticks and crashes come between any two: what it checks is what
// users get.
//
// A View is of a whole partition, for who reads many keys, scans or counts; a Key is one key of it. Both
// live as long as one read. The package asks nobody else, waits for nothing but the disk, and knows
// nothing of routing: who may ask which replica is decided before, in package node.
package local
