//go:build bug_drift_without_damping

package rebalance

const driftWithoutDamping = true
