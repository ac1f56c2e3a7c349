//go:build bug_eio_retried

package wal

const retriesSync = true
