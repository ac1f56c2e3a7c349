//go:build bug_rebuilt_without_log

package replica

func init() { planted.rebuiltWithoutLog = true }
