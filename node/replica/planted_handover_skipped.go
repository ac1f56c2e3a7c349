//go:build bug_handover_skipped

package replica

func init() { planted.handOverSkipped = true }
