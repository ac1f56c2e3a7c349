//go:build bug_silence_is_steady

package rebalance

func init() { planted.silenceIsSteady = true }
