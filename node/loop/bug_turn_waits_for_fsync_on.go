//go:build bug_turn_waits_for_fsync

package loop

const turnWaitsForFsync = true
