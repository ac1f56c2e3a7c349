//go:build !bug_slow_keeps_leading

package rebalance

// slowKeepsLeading plants a known bug, which the tests must find: a node that stalls again and
// again keeps its leaderships.
const slowKeepsLeading = false
