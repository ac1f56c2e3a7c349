//go:build !bug_lost_steps_done_again

package node

// lostStepsDoneAgain plants a known bug, which the tests must find: what another node was given to
// do of a batch or a transaction is done again when its answer gets lost.
const lostStepsDoneAgain = false
