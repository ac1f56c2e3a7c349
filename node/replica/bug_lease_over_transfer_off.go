//go:build !bug_lease_over_transfer

package replica

// leaseOverTransfer plants a known bug, which the simulation must find: the lease outlives the hand-over of
// leadership.
const leaseOverTransfer = false
