//go:build bug_put_off_forgotten

package replica

func init() { planted.putOffForgotten = true }
