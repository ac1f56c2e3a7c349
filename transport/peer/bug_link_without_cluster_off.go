//go:build !bug_link_without_cluster

package peer

// outdatedLinksStay plants a known bug, which the tests must find: a link that comes out of a
// handshake in which this node was in no cluster yet lives on after it has joined one.
const outdatedLinksStay = false
