package rebalance

import (
	"cmp"
	"fmt"
	"slices"

	"pxkv/node/health"
	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/replica"
)

// reportTicks is between two reports, about a second.
const reportTicks = 14

// countTicks is between two counts of the groups that are not complete: a look at every follower of each.
const countTicks = 3 * reportTicks

// Warnings returns what an operator should know of nodes that are not well, as this one sees them:
// sentences, in a stable order. It may be called from any goroutine.
func (e *Executor) Warnings() []string {
	if w := e.warnings.Load(); w != nil {
		return *w
	}
	return nil
}

// report brings Warnings to the present. late counts, by node, the learners that are not waited for.
func (e *Executor) report(h *replica.Host, s *meta.State, late map[kv.NodeID]int) {
	// Nothing has changed where all groups rest as they did the last time, none woke in between, and the placement is
	// the same.
	if h.Ticks()%countTicks == 0 {
		if now := stillnessOf(h, s); !now.since(e.counted) {
			e.count(h, s)
			e.counted = now
		}
	}
	var out []string
	if e.sights.selfUnsteady(&e.limits) {
		out = append(out,
			"this node stalls again and again, and hands over what it leads: look at its CPU, its disk and its log")
	}
	crowded := h.Crowded()
	members := slices.Clone(s.Members)
	slices.SortFunc(members, func(a, b meta.Member) int { return cmp.Compare(a.Name, b.Name) })
	for _, m := range members {
		n := e.sights.nodes[m.ID]
		switch {
		case n == nil || n.down: // this node, or one that cannot be reached, which others say
			continue
		case n.unsteady(e.sights.now, &e.limits):
			out = append(out,
				fmt.Sprintf("member %s fell silent or behind %d times lately: it leads little until it has been "+
					"steady for a while", m.Name, n.falls))
		}
		if slices.Contains(crowded, m.ID) {
			out = append(out, fmt.Sprintf("member %s has no room on its disk for what it should hold: make room there",
				m.Name))
		} else if late[m.ID] > 0 {
			out = append(out,
				fmt.Sprintf("member %s takes too long to be filled: %d partitions led here go on without it for now",
					m.Name, late[m.ID]))
		}
	}
	e.warnings.Store(&out)
}

// count brings Incomplete and Fragile to the present. A follower has caught up when it has what its leader had at the
// last report.
func (e *Executor) count(h *replica.Host, s *meta.State) {
	incomplete, fragile := 0, 0
	reports := health.Look(h, e.ends, e.Waits)
	for _, r := range reports {
		if r.Partition != kv.Meta && int(r.Partition) >= len(s.Placement) {
			continue
		}
		lacks, mayLose := health.Of(s, &r)
		if lacks != "" {
			incomplete++
		}
		if !mayLose {
			fragile++
		}
	}
	e.ends = health.Ends(reports)
	e.incomplete.Store(int64(incomplete))
	e.fragile.Store(int64(fragile))
}
