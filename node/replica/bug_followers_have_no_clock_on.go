//go:build bug_followers_have_no_clock

package replica

const followersHaveNoClock = true
