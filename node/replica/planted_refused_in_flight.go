//go:build bug_refused_in_flight

package replica

func init() { planted.refusedInFlight = true }
