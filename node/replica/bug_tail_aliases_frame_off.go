//go:build !bug_tail_aliases_frame

package replica

// tailAliasesFrame plants a known bug, which the simulation must find: an entry keeps the whole frame in memory
// that brought it.
const tailAliasesFrame = false
