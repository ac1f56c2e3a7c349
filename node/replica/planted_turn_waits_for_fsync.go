//go:build bug_turn_waits_for_fsync

package replica

func init() { planted.turnWaitsForFsync = true }
