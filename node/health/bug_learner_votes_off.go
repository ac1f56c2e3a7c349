//go:build !bug_learner_votes

package health

// learnersVote: a learner is taken for a voter.
const learnersVote = false
