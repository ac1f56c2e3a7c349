//go:build bug_unsynced_believed

package wal

const believesUnsynced = true
