//go:build !bug_expiry_by_local_clock

package replica

// localExpiry plants a known bug, which the simulation must find: a deadline is judged by the clock of whoever
// reads.
const localExpiry = false
