//go:build !bug_turn_waits_for_fsync

package loop

// turnWaitsForFsync plants a known bug, which the tests must find: nobody takes the turns over from a commit that
// hangs.
const turnWaitsForFsync = false
