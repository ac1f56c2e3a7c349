//go:build !bug_reads_not_given_back

package replica

// readsNotGivenBack plants a known bug, which the simulation must find: a read that was dropped goes on counting
// toward the limit.
const readsNotGivenBack = false
