//go:build bug_removed_awaited

package replica

func init() { planted.removedAwaited = true }
