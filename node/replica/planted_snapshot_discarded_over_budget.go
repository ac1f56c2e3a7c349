//go:build bug_snapshot_discarded_over_budget

package replica

func init() { planted.snapshotOverBudget = true }
