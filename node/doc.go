// Package node is what one pxkv process does, between its front doors and its replicas: it
// routes a request to the leader of its key's partition (here, or another node), serves
// reads from a lease or after asking a majority, merges lists over all partitions, answers
// other nodes, and takes the node through its life: first start, bootstrap or join, restart,
// hand-over and stop.
//
// A request goes one way: front door, route, replica, disk; forwarded at most once, since
// the node that is asked by another never forwards again but says who leads.
//
// Nouns: Node, route (who leads a partition, as far as known), inbound (what other nodes
// ask), Membership (the node's way into its cluster).
//
// Callers: cmd/pxkv builds a Node and connects it to the transports, which it knows only
// through the small interfaces it declares. It must not import transport.
package node
