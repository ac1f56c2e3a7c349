//go:build bug_lease_over_transfer

package replica

const leaseOverTransfer = true
