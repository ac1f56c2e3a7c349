//go:build bug_handover_skipped

package replica

const handOverSkipped = true
