//go:build bug_dead_leader_named

package node

const deadLeaderNamed = true
