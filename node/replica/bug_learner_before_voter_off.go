//go:build !bug_learner_before_voter

package replica

// learnerBeforeVoter plants a known bug, which the simulation must find: whoever came first gets the next place.
const learnerBeforeVoter = false
