//go:build bug_snapshot_discarded_over_budget

package replica

const snapshotOverBudget = true
