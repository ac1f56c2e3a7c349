//go:build !bug_full_void_takes_nothing

package replica

// fullVoidTakesNothing plants a known bug, which the simulation must find: one whose log is full takes nothing,
// though its leader cannot rebuild it before.
const fullVoidTakesNothing = false
