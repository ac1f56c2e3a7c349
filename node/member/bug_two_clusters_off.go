//go:build !bug_two_clusters

package member

const twoClusters = false
