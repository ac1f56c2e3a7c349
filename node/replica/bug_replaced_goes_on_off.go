//go:build !bug_replaced_goes_on

package replica

// replacedGoesOn plants a known bug, which the simulation must find: a node that hears that it is no member goes
// on.
const replacedGoesOn = false
