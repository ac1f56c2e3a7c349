//go:build !bug_lease_checked_late

package local

import "pxkv/node/replica"

// leaseCheckedLate plants a known bug, which the simulation must find: whether the lease holds is asked
// after the state was read.
const leaseCheckedLate = false

func mayBeLate(*replica.Handle) bool { return false }
