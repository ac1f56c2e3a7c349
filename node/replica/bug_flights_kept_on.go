//go:build bug_flights_kept

package replica

const flightsKept = true
