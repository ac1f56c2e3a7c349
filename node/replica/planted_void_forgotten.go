//go:build bug_void_forgotten

package replica

func init() { planted.voidForgotten = true }
