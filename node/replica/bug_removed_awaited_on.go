//go:build bug_removed_awaited

package replica

const removedAwaited = true
