//go:build !bug_dead_joiner_blocks

package rebalance

// deadJoinerBlocks plants a known bug, which the tests must find: all wanted voters are waited for,
// dead ones included.
const deadJoinerBlocks = false
