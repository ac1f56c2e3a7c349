//go:build bug_unknown_tried_again

package rpc

const unknownTriedAgain = true
