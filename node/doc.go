// Package node is what one pxkv process does, between its front doors and its replicas: it
// routes a request to the leader of its key's partition (here, or another node), serves
// reads from a lease or after asking a majority, merges lists over all partitions, answers
// other nodes, and takes the node through its life: first start, bootstrap or join, restart,
// hand-over and stop.
//
// A request goes one way: front door, route, replica, disk; forwarded at most once, since
// the node that is asked by another never forwards again but says who leads. Where the leader
// cannot be asked directly, the request is handed to a third node, which passes it on as it is.
//
// How the leader is found and asked, and asked again, is package rpc. Here each thing that nodes ask
// of each other is one file: its rpc.Method, with its request and answer on the wire, and what does
// it on this node. A new one is such a file, its number and its row in kinds.go.
//
// Nouns: Node, method (one thing that nodes ask of each other), step (reads and one log entry of a
// partition, as batches and transactions have them), batch, share (what a batch has to do in one
// partition), Membership (the node's way into its cluster).
//
// Callers: cmd/pxkv/server builds a Node and connects it to the transports, which it knows only
// through small interfaces. It must not import transport.
package node
