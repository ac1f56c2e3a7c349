//go:build bug_torn_tail_unsealed

package wal

const leavesTornTail = true
