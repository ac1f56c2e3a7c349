//go:build !bug_log_cut_unflushed

package raftlog

// cutUnflushed plants a known bug, which the test harnesses must find: entries leave the log
// when their effects are applied, which a crash may still take, and not when they are flushed.
const cutUnflushed = false
