//go:build !bug_answer_too_large

package node

// answersAreEndless plants a known bug, which the tests must find: commands are carried out
// although the values that they return may not fit the answer.
const answersAreEndless = false
