//go:build bug_vote_after_restart

package replica

const voteAfterRestart = true
