//go:build bug_slow_keeps_leading

package rebalance

func init() { planted.slowKeepsLeading = true }
