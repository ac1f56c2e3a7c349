//go:build bug_purge_slot_leaks

package replica

func init() { planted.purgeSlotLeaks = true }
