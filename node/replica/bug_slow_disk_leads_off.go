//go:build !bug_slow_disk_leads

package replica

// slowDiskLeads plants a known bug, which the tests must find: a leader whose disk hangs goes on leading.
const slowDiskLeads = false
