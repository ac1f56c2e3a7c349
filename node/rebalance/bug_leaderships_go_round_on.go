//go:build bug_leaderships_go_round

package rebalance

const leadershipsGoRound = true
