//go:build !bug_leader_is_fresh

package replica

// leaderIsFresh plants a known bug, which the simulation must find: whoever believes to lead says that its state is
// not old.
const leaderIsFresh = false
