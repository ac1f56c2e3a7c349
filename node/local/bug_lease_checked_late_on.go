//go:build bug_lease_checked_late

package local

import (
	"sync/atomic"

	"pxkv/node/replica"
)

const leaseCheckedLate = true

var late atomic.Int64

// mayBeLate lets every second read that has no lease ask for it later, so that some get through where there
// never is one.
func mayBeLate(*replica.Handle) bool { return late.Add(1)%2 == 0 }
