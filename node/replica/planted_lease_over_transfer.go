//go:build bug_lease_over_transfer

package replica

func init() { planted.leaseOverTransfer = true }
