//go:build bug_agrees_and_stays_awake

package replica

const agreesAndStaysAwake = true
