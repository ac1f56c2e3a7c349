//go:build bug_failed_fsync_believed

package persist

const believesFailed = true
