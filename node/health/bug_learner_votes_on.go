//go:build bug_learner_votes

package health

const learnersVote = true
