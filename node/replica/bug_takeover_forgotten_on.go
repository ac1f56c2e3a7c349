//go:build bug_takeover_forgotten

package replica

const takeoverForgotten = true
