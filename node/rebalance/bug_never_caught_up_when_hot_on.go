//go:build bug_never_caught_up_when_hot

package rebalance

const neverCaughtUp = true
