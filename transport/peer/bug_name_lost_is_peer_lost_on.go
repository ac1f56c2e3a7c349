//go:build bug_name_lost_is_peer_lost

package peer

const nameIsAll = true
