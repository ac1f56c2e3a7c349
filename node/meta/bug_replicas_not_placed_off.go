//go:build !bug_replicas_not_placed

package meta

// replicasNotPlaced plants a known bug, which the tests must find: another number of replicas is written down, and
// nothing moves until members come or go.
const replicasNotPlaced = false
