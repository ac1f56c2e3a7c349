//go:build bug_full_void_takes_nothing

package replica

const fullVoidTakesNothing = true
