//go:build !bug_never_caught_up_when_hot

package rebalance

// neverCaughtUp plants a known bug, which the tests must find: "caught up" is a number of entries,
// which a group under load never falls below.
const neverCaughtUp = false
