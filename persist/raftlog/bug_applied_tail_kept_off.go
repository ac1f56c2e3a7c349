//go:build !bug_applied_tail_kept

package raftlog

// appliedTailKept plants a known bug, which the test harnesses must find: the end of a log stays in
// memory until the next entry, applied or not.
const appliedTailKept = false
