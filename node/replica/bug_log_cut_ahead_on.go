//go:build bug_log_cut_ahead

package replica

const logCutAhead = true
