//go:build !bug_failed_fsync_believed

package wal

// believesFailed plants a known bug, which the test harnesses must find: a start takes what it reads
// for what the disk has, although an fsync may have failed to write it.
const believesFailed = false
