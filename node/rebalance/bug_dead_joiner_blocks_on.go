//go:build bug_dead_joiner_blocks

package rebalance

const deadJoinerBlocks = true
