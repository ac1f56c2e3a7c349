//go:build bug_replica_id_reused

package meta

const replicaIDReused = true
