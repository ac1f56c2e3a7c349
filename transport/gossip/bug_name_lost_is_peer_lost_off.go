//go:build !bug_name_lost_is_peer_lost

package gossip

// nameIsAll plants a known bug, which the tests must find: a node is
// looked for only where its name leads now.
const nameIsAll = false
