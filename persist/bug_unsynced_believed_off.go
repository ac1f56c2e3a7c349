//go:build !bug_unsynced_believed

package persist

// believesUnsynced makes a start believe what a killed process wrote and did not sync. Other builds are
// off.
const believesUnsynced = false
