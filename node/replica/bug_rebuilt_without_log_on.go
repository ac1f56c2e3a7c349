//go:build bug_rebuilt_without_log

package replica

const rebuiltWithoutLog = true
