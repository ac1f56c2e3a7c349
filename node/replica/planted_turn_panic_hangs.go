//go:build bug_turn_panic_hangs

package replica

func init() { planted.turnPanicHangs = true }
