//go:build !bug_replica_id_reused

package meta

// replicaIDReused plants a known bug, which the tests must find: a new replica gets the id of the one whose place it
// has.
const replicaIDReused = false
