//go:build !bug_asked_in_part

package member

// askedInPart plants a known bug, which the tests must find: a member is given up by the word of some, and another one
// that is there has not answered.
const askedInPart = false
