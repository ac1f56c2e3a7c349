//go:build !bug_leaderships_go_round

package rebalance

// leadershipsGoRound plants a known bug, which the tests must find: nodes that all stall at once
// pass every leadership on as soon as it comes.
const leadershipsGoRound = false
