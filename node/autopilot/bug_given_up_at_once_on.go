//go:build bug_given_up_at_once

package autopilot

const givenUpAtOnce = true
