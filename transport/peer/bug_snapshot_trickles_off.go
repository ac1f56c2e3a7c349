//go:build !bug_snapshot_trickles

package peer

const endlessPatience = false // see bug_snapshot_trickles_on.go
