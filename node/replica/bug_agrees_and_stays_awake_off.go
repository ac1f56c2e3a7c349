//go:build !bug_agrees_and_stays_awake

package replica

// agreesAndStaysAwake plants a known bug, which the tests must find: a follower agrees that its group rests, and does
// not rest itself.
const agreesAndStaysAwake = false
