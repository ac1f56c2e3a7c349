//go:build !bug_given_up_at_once

package autopilot

// givenUpAtOnce plants a known bug, which the tests must find: a member is given up as soon as it is
// silent.
const givenUpAtOnce = false
