//go:build bug_flush_by_effects_only

package raftlog

const flushByEffectsOnly = true
