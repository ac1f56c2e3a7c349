//go:build processes

package processes

import (
	"slices"
	"testing"
	"time"
)

// widest returns the widest distance between neighbours among from, the moments and to.
func widest(moments []int64, from, to int64) time.Duration {
	slices.Sort(moments)
	gap, last := int64(0), from
	for _, m := range append(moments, to) {
		gap, last = max(gap, m-last), m
	}
	return time.Duration(gap)
}

// median returns the middle one, the lower of two.
func median(of []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[(len(sorted)-1)/2]
}

func TestTheGapIsBetweenAcknowledgedWritesOnly(t *testing.T) {
	t.Parallel()
	put := func(ret int64) operation { return operation{key: "a", kind: opPut, ret: ret, applied: true} }
	ops := []operation{put(10), put(40), {key: "a", kind: opGet, ret: 50},
		{key: "a", kind: opPut, ret: never, unknown: true},
		{key: "b", kind: opPut, ret: 60, applied: true}, {key: "a", kind: opSwap, ret: 70,
			applied: false}, put(90), put(500)}
	onA := func(op *operation) bool { return op.key == "a" }
	if got := longestGap(ops, 0, 100, onA); got != 50 {
		t.Errorf("gap is %d, want 50: from 40 to 90", got)
	}
	if got := longestGap(ops, 0, 300, onA); got != 210 {
		t.Errorf("gap is %d, want 210: from 90 to the end", got)
	}
	if got := longestGap(nil, 100, 300, onA); got != 200 {
		t.Errorf("gap is %d, want 200: no write at all", got)
	}
}
