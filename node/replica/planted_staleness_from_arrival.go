//go:build bug_staleness_from_arrival

package replica

func init() { planted.stalenessFromArrival = true }
