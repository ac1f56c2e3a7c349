//go:build bug_snapshot_slot_leaks

package replica

func init() { planted.snapshotSlotLeaks = true }
