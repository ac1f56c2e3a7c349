//go:build bug_asked_in_part

package member

const askedInPart = true
