//go:build !bug_flush_by_effects_only

package raftlog

// flushByEffectsOnly plants a known bug, which the test harnesses must find: how much of the log waits
// for a flush does not count.
const flushByEffectsOnly = false
