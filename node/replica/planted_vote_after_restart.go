//go:build bug_vote_after_restart

package replica

func init() { planted.voteAfterRestart = true }
