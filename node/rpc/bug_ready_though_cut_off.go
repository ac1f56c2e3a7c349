//go:build !bug_ready_though_cut

package rpc

// readyByGossip plants a known bug, which the tests must find: a node is ready as long
// as gossip sees the leaders, although they cannot be asked.
const readyByGossip = false
