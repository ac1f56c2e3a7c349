//go:build bug_word_forgotten

package replica

const wordForgotten = true
