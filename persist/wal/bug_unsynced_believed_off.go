//go:build !bug_unsynced_believed

package wal

// believesUnsynced makes a start believe what a killed process wrote and did not sync. Other builds are
// off.
const believesUnsynced = false
