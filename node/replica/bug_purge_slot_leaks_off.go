//go:build !bug_purge_slot_leaks

package replica

// purgeSlotLeaks plants a known bug, which the tests must find: a purge that is lost with its leadership counts as
// under way for ever.
const purgeSlotLeaks = false
