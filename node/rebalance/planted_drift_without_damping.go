//go:build bug_drift_without_damping

package rebalance

func init() { planted.driftWithoutDamping = true }
