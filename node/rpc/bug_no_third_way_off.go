//go:build !bug_no_third_way

package rpc

// noThirdWay plants a known bug, which the tests must find: a node that cannot be
// asked directly is not asked by way of a third one.
const noThirdWay = false
