//go:build bug_answer_too_large

package node

const answersAreEndless = true
