//go:build bug_votes_asked_early

package replica

const votesAskedEarly = true
