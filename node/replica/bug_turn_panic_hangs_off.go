//go:build !bug_turn_panic_hangs

package replica

// turnPanicHangs plants a known bug, which the simulation must find: requests that a turn had taken when it
// panicked are never answered.
const turnPanicHangs = false
