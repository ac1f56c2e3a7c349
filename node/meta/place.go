package meta

import (
	"slices"

	"pxkv/node/kv"
)

func (c Place) apply(s *State) (*State, Result) {
	if c.Expect != s.Epoch {
		return s.refuse(Stale, "placement computed from epoch %d, but the epoch is %d; compute it again", c.Expect,
			s.Epoch)
	}
	if refused := c.check(s); refused != nil {
		return s, Result{Refused: refused}
	}
	next := s.fork()
	next.Placement = make([][]kv.Replica, len(c.Rows))
	for p, nodes := range c.Rows {
		row := make([]kv.Replica, len(nodes))
		for i, node := range nodes {
			// Only a replica of the present placement is known not to have been removed.
			// One that was placed before and is placed again must be a new one in Raft, where
			// an id that was removed can never come back.
			r, kept := inRow(s.Placement[p], node)
			switch {
			case kept:
			case replicaIDReused && i < len(s.Placement[p]) && !slices.Contains(nodes, s.Placement[p][i].Node):
				r = kv.Replica{ID: s.Placement[p][i].ID, Node: node}
			default:
				r = kv.Replica{ID: next.nextReplica(), Node: node}
			}
			row[i] = r
		}
		next.Placement[p] = row
	}
	next.PlacedFor = slices.Compact(slices.Sorted(slices.Values(c.For)))
	next.PlacedZones, next.PlacedReplicas = c.Zones, c.Replicas
	next.Epoch++
	return next, Result{}
}

// check returns why the rows cannot be the placement of s, nil when they can.
func (c Place) check(s *State) *Refusal {
	refuse := func(code Code, format string, args ...any) *Refusal {
		_, r := s.refuse(code, format, args...)
		return r.Refused
	}
	if len(c.Rows) != s.Partitions {
		return refuse(Invalid, "placement of %d partitions, want %d", len(c.Rows), s.Partitions)
	}
	if len(c.For) == 0 || len(c.For) > MaxMembers {
		return refuse(Invalid, "placement for %d members, want 1 to %d", len(c.For), MaxMembers)
	}
	if refused := c.checkWhatFor(s); refused != nil {
		return refused
	}
	inRow := make(map[kv.NodeID]int, len(s.Members)) // member -> the last row that has it, plus one
	for _, m := range s.Members {
		inRow[m.ID] = 0
	}
	for p, row := range c.Rows {
		if len(row) == 0 {
			return refuse(Invalid, "placement has no replica for partition %d", p)
		}
		for _, node := range row {
			last, member := inRow[node]
			if !member {
				return refuse(UnknownMember,
					"placement of partition %d names node %s, which is not a member; compute it again", p, node)
			}
			if last == p+1 {
				return refuse(Invalid, "placement of partition %d names node %s twice", p, node)
			}
			inRow[node] = p + 1
		}
	}
	return nil
}

// checkWhatFor checks what came with clusters of version 2.
func (c Place) checkWhatFor(s *State) *Refusal {
	refuse := func(code Code, format string, args ...any) *Refusal {
		_, r := s.refuse(code, format, args...)
		return r.Refused
	}
	if c.Replicas == 0 && c.Zones == nil {
		return nil
	}
	if r, old := s.old(); old {
		return r.Refused
	}
	if c.Replicas != s.Replicas {
		return refuse(Stale, "placement of %d replicas, but %d are wanted; compute it again", c.Replicas, s.Replicas)
	}
	if c.Zones == nil {
		return nil
	}
	sorted := slices.IsSorted(c.For) && len(slices.Compact(slices.Clone(c.For))) == len(c.For)
	if len(c.Zones) != len(c.For) || !sorted {
		return refuse(Invalid, "placement with %d zones for %d members, want one each, by id", len(c.Zones), len(c.For))
	}
	for _, z := range c.Zones {
		if err := CheckZone(z); err != nil {
			return refuse(Invalid, "placement: %v", err)
		}
	}
	return nil
}
