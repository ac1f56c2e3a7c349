//go:build bug_snapshot_slot_leaks

package replica

const snapshotSlotLeaks = true
