//go:build bug_cancelled_flush_fatal

package data

const cancelledFlushFatal = true
