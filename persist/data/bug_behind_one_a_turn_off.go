//go:build !bug_behind_one_a_turn

package data

// bufferOneATurn plants a known bug, which the test harnesses must find: one write buffer is drained in
// a turn, however many grew.
const bufferOneATurn = false
