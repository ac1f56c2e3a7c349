//go:build bug_lease_not_awaited

package replica

const leaseNotAwaited = true
