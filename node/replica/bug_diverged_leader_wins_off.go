//go:build !bug_diverged_leader_wins

package replica

// divergedLeaderWins plants a known bug, which the simulation must find: whoever differs from its leader stops,
// whoever of them is right.
const divergedLeaderWins = false
