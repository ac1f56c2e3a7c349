//go:build bug_leaderships_go_round

package rebalance

func init() { planted.leadershipsGoRound = true }
