//go:build bug_never_caught_up_when_hot

package rebalance

func init() { planted.neverCaughtUp = true }
