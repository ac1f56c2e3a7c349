//go:build bug_dead_joiner_blocks

package rebalance

func init() { planted.deadJoinerBlocks = true }
