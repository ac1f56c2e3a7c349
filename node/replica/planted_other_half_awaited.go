//go:build bug_other_half_awaited

package replica

func init() { planted.otherHalfAwaited = true }
