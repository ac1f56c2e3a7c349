//go:build !bug_filling_counts_dead

package rebalance

// fillingCountsDead plants a known bug, which the tests must find: learners that cannot be filled
// count as being filled.
const fillingCountsDead = false
