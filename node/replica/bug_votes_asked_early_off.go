//go:build !bug_votes_asked_early

package replica

// votesAskedEarly plants a known bug, which the simulation must find: a candidate asks for votes before its own
// disk knows the term.
const votesAskedEarly = false
