//go:build !bug_old_disk_believed

package replica

// oldDiskBelieved plants a known bug, which the simulation must find: what others remember of this node does not
// count.
const oldDiskBelieved = false
