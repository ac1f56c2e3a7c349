//go:build bug_old_disk_believed

package replica

const oldDiskBelieved = true
