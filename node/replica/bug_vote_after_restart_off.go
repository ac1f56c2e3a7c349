//go:build !bug_vote_after_restart

package replica

// voteAfterRestart plants a known bug, which the simulation must find: votes are given right after a restart.
const voteAfterRestart = false
