//go:build !bug_flights_kept

package replica

// flightsKept plants a known bug, which the tests must find: writes of a leader that has lost its majority are
// awaited for ever.
const flightsKept = false
