//go:build bug_filling_counts_dead

package rebalance

const fillingCountsDead = true
