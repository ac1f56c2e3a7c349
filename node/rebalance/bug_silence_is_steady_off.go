//go:build !bug_silence_is_steady

package rebalance

// silenceIsSteady plants a known bug, which the tests must find: time in which a node says nothing
// counts as steady, until it counts as fallen.
const silenceIsSteady = false
