//go:build bug_diverged_leader_wins

package replica

func init() { planted.divergedLeaderWins = true }
