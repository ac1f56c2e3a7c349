//go:build bug_standing_loop_believed

package loop

const standingLoopBelieved = true
