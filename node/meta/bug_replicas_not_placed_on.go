//go:build bug_replicas_not_placed

package meta

const replicasNotPlaced = true
