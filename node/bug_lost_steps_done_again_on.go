//go:build bug_lost_steps_done_again

package node

const lostStepsDoneAgain = true
