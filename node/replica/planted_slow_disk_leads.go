//go:build bug_slow_disk_leads

package replica

func init() { planted.slowDiskLeads = true }
