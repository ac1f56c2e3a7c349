//go:build !bug_unknown_tried_again

package rpc

// unknownTriedAgain plants a known bug, which the tests must find: a write of unknown outcome is
// made again.
const unknownTriedAgain = false
