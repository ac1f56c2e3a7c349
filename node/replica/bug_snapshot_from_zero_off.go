//go:build !bug_snapshot_from_zero

package replica

// snapshotFromZero plants a known bug, which the simulation must find: a shipment is given up after a time, however
// much of it has moved.
const snapshotFromZero = false
