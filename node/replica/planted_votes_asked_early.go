//go:build bug_votes_asked_early

package replica

func init() { planted.votesAskedEarly = true }
