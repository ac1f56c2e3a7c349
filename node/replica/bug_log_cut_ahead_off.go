//go:build !bug_log_cut_ahead

package replica

// logCutAhead plants a known bug, which the tests must find: the log is cut where the library may still look.
const logCutAhead = false
