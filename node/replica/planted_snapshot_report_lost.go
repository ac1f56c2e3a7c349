//go:build bug_snapshot_report_lost

package replica

func init() { planted.snapshotReportLost = true }
