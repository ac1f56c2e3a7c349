package rebalance

import "pxkv/node/kv"

// yields are the leaderships that this node handed over because it stalls again and again. A node
// cannot see that the others stall as well, as all do on one overloaded host, and they cannot see it
// of this one. Without a memory they would pass each leadership round and round, a thing that costs
// them more than to lead. So one that comes back is kept, each time for longer.
type yields map[kv.PartitionID]yielded

type yielded struct {
	at    uint64 // tick of the last time
	times int
}

// due reports whether a leadership that was held for so many ticks may be handed over.
func (y yields) due(p kv.PartitionID, now, tenure uint64, l *Limits) bool {
	last, ok := y[p]
	if !ok || leadershipsGoRound {
		return true
	}
	return last.stayed(now, tenure) || tenure >= doubled(l.SteadyTicks, last.times, l.MostSteadyTicks)
}

// note remembers that it is handed over.
func (y yields) note(p kv.PartitionID, now, tenure uint64) {
	last := y[p]
	if !last.stayed(now, tenure) {
		last.times = min(last.times+1, mostFalls)
	}
	y[p] = yielded{now, last.times}
}

// stayed reports whether the last attempt came to nothing: the leadership never left this node.
func (y yielded) stayed(now, tenure uint64) bool { return y.times > 0 && tenure >= now-y.at }
