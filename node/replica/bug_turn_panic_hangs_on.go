//go:build bug_turn_panic_hangs

package replica

const turnPanicHangs = true
