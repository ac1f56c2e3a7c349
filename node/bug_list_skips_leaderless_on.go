//go:build bug_list_skips_leaderless

package node

const listSkipsLeaderless = true
