//go:build !bug_lease_until_applied

package replica

// leaseUntilApplied plants a known bug, which a test must find: a change of the configuration ends a lease when its
// leader applies it, though others may have done so before.
const leaseUntilApplied = false
