//go:build bug_leader_is_fresh

package replica

const leaderIsFresh = true
