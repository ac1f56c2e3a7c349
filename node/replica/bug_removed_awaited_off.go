//go:build !bug_removed_awaited

package replica

// removedAwaited plants a known bug, which the tests must find: a node that starts waits for the word of those that
// were removed, too.
const removedAwaited = false
