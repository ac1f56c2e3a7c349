//go:build bug_learner_before_voter

package replica

func init() { planted.learnerBeforeVoter = true }
