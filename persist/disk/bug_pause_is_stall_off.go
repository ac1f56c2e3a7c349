//go:build !bug_pause_is_stall

package disk

// pauseIsStall plants a known bug, which the test harnesses must find: time in which the process did
// not run counts against the disk.
const pauseIsStall = false
