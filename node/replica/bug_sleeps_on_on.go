//go:build bug_sleeps_on

package replica

const sleepsOn = true
