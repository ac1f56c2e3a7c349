//go:build bug_log_cut_unflushed

package raftlog

const cutUnflushed = true
