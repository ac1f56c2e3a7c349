//go:build !bug_snapshot_report_lost

package replica

// snapshotReportLost plants a known bug, which the simulation must find: the library does not hear that a snapshot
// failed.
const snapshotReportLost = false
