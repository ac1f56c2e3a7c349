//go:build bug_log_cut_unflushed

package persist

const cutUnflushed = true
