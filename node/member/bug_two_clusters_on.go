//go:build bug_two_clusters

package member

// twoClusters takes an address of --join at which nobody answers for one at which nobody is.
const twoClusters = true
