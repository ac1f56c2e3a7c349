//go:build bug_link_without_cluster

package peer

const outdatedLinksStay = true
