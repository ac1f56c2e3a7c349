//go:build !bug_vouched_by_nobody

package replica

// vouchedByNobody plants a known bug, which the simulation must find: who has not said what it remembers of a node
// that starts counts as heard.
const vouchedByNobody = false
