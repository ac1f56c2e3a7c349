//go:build !bug_handover_skipped

package replica

// handOverSkipped plants a known bug, which the simulation must find: a node that is asked to stop does not wait
// until others lead.
const handOverSkipped = false
