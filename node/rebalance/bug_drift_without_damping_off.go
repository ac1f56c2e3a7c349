//go:build !bug_drift_without_damping

package rebalance

// driftWithoutDamping plants a known bug, which the tests must find: a preferred leader gets its
// leaderships back however often it falls.
const driftWithoutDamping = false
