//go:build !bug_eio_retried

package wal

// retriesSync plants a known bug, which the test harnesses must find: a failed fsync is tried again,
// and succeeds without writing what the first one failed to write.
const retriesSync = false
