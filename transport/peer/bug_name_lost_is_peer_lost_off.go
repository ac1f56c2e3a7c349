//go:build !bug_name_lost_is_peer_lost

package peer

// nameIsAll plants a known bug, which the tests must find: a peer is
// dialed only where its name leads now.
const nameIsAll = false
