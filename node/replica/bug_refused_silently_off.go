//go:build !bug_refused_silently

package replica

// refusedSilently plants a known bug, which the simulation must find: a proposal that the library refused is not
// answered.
const refusedSilently = false
