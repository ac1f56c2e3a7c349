//go:build !bug_refused_in_flight

package replica

// refusedInFlight plants a known bug, which the simulation must find: a proposal that the library refused is
// answered, and waits for its entry.
const refusedInFlight = false
