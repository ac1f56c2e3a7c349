//go:build !bug_snapshot_condemned

package replica

// snapshotCondemned plants a known bug, which the tests must find: a snapshot is thrown away that the library
// accepted when the state was condemned.
const snapshotCondemned = false
