//go:build bug_ack_before_fsync

package replica

const ackBeforeFsync = true
