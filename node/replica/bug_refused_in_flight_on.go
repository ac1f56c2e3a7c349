//go:build bug_refused_in_flight

package replica

const refusedInFlight = true
