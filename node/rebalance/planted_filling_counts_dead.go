//go:build bug_filling_counts_dead

package rebalance

func init() { planted.fillingCountsDead = true }
