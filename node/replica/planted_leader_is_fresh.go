//go:build bug_leader_is_fresh

package replica

func init() { planted.leaderIsFresh = true }
