//go:build bug_lease_until_applied

package replica

const leaseUntilApplied = true
