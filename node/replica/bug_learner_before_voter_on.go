//go:build bug_learner_before_voter

package replica

const learnerBeforeVoter = true
