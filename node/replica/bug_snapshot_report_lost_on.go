//go:build bug_snapshot_report_lost

package replica

const snapshotReportLost = true
