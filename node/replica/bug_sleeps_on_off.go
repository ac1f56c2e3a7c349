//go:build !bug_sleeps_on

package replica

// sleepsOn plants a known bug: a group at rest does not notice that the node of its leader, or of a follower, has
// fallen silent.
const sleepsOn = false
