//go:build bug_failed_fsync_believed

package wal

const believesFailed = true
