//go:build bug_diverged_leader_wins

package replica

const divergedLeaderWins = true
