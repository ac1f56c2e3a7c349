//go:build !bug_other_half_awaited

package replica

// otherHalfAwaited plants a known bug, which the tests must find: a node that starts waits for those who have never
// needed its word.
const otherHalfAwaited = false
