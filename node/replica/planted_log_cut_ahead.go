//go:build bug_log_cut_ahead

package replica

func init() { planted.logCutAhead = true }
