//go:build bug_replaced_goes_on

package replica

const replacedGoesOn = true
