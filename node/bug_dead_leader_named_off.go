//go:build !bug_dead_leader_named

package node

// deadLeaderNamed plants a known bug, which the tests must find: who leads is told from what was heard
// last, whether that node can be asked or not, and contradicts what readiness says.
const deadLeaderNamed = false
