//go:build bug_slow_disk_leads

package replica

const slowDiskLeads = true
