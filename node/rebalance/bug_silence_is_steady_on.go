//go:build bug_silence_is_steady

package rebalance

const silenceIsSteady = true
