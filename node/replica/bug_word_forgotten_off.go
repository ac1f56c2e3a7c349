//go:build !bug_word_forgotten

package replica

// wordForgotten plants a known bug, which the tests must find: a node does not keep to what it said of a member that is
// then given up.
const wordForgotten = false
