//go:build !bug_ack_before_fsync

package replica

// ackBeforeFsync plants a known bug, which the simulation must find: promises leave before the log is on disk.
const ackBeforeFsync = false
