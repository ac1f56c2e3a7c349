//go:build !bug_cancelled_flush_fatal

package data

// cancelledFlushFatal plants a known bug, which the test harnesses must find: a flush that an install
// cancelled is taken for a broken disk.
const cancelledFlushFatal = false
