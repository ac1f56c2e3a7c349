//go:build !bug_snapshot_discarded_over_budget

package replica

// snapshotOverBudget plants a known bug, which the simulation must find: a snapshot that arrives in a turn whose
// apply budget is spent is thrown away when it was accepted.
const snapshotOverBudget = false
