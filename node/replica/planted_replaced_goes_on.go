//go:build bug_replaced_goes_on

package replica

func init() { planted.replacedGoesOn = true }
