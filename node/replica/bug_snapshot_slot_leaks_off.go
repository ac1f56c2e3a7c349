//go:build !bug_snapshot_slot_leaks

package replica

// snapshotSlotLeaks plants a known bug, which the simulation must find: the place of a shipment whose leadership
// ended is never free again.
const snapshotSlotLeaks = false
