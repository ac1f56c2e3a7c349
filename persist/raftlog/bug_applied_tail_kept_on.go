//go:build bug_applied_tail_kept

package raftlog

const appliedTailKept = true
