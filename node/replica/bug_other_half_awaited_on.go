//go:build bug_other_half_awaited

package replica

const otherHalfAwaited = true
