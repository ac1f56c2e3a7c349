//go:build bug_snapshot_trickles

package peer

// A build with a planted bug: a sender holds its place for as long as it sends pings.
const endlessPatience = true
