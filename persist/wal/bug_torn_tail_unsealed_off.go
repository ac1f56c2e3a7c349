//go:build !bug_torn_tail_unsealed

package wal

// leavesTornTail plants a known bug, which the test harnesses must find: a log that a crash has torn is not
// sealed before the next segment begins.
const leavesTornTail = false
