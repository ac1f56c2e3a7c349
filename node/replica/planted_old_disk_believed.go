//go:build bug_old_disk_believed

package replica

func init() { planted.oldDiskBelieved = true }
