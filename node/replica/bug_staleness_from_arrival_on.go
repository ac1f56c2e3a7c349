//go:build bug_staleness_from_arrival

package replica

const stalenessFromArrival = true
