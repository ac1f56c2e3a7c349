//go:build !bug_staleness_from_arrival

package replica

// stalenessFromArrival plants a known bug, which the simulation must find: a heartbeat that arrives counts as said
// now, however long it waited.
const stalenessFromArrival = false
