//go:build bug_put_off_forgotten

package replica

const putOffForgotten = true
