//go:build !bug_followers_have_no_clock

package replica

// followersHaveNoClock plants a known bug, which the tests must find: a replica that does not lead judges deadlines
// by what was logged alone.
const followersHaveNoClock = false
