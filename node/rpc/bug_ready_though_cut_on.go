//go:build bug_ready_though_cut

package rpc

const readyByGossip = true
