//go:build !bug_standing_loop_believed

package loop

// standingLoopBelieved plants a known bug, which the tests must find: what the replicas knew when the turns began
// to stand still is believed.
const standingLoopBelieved = false
