//go:build bug_standing_loop_believed

package replica

func init() { planted.standingLoopBelieved = true }
