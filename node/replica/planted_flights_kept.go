//go:build bug_flights_kept

package replica

func init() { planted.flightsKept = true }
