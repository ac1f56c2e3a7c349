//go:build bug_purge_slot_leaks

package replica

const purgeSlotLeaks = true
