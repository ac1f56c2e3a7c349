//go:build bug_slow_keeps_leading

package rebalance

const slowKeepsLeading = true
