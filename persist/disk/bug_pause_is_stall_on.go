//go:build bug_pause_is_stall

package disk

const pauseIsStall = true
