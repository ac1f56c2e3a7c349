//go:build bug_ack_before_fsync

package replica

func init() { planted.ackBeforeFsync = true }
