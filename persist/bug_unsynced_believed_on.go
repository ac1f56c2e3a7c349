//go:build bug_unsynced_believed

package persist

const believesUnsynced = true
