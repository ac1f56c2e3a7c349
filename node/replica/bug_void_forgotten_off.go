//go:build !bug_void_forgotten

package replica

// voidForgotten plants a known bug, which the tests must find: the mark of a void state is not written.
const voidForgotten = false
