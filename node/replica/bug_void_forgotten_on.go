//go:build bug_void_forgotten

package replica

const voidForgotten = true
