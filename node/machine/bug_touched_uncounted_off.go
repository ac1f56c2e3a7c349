//go:build !bug_touched_uncounted

package machine

// touchedUncounted plants a known bug, which the tests must find: an entry counts toward a turn's budget for what
// it is long, and not for what it touches.
const touchedUncounted = false
