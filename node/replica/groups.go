package replica

import (
	"slices"
	"sync/atomic"

	"pxkv/node/kv"
)

// groups are the replicas of a node.
type groups struct {
	of      map[kv.PartitionID]*group
	ordered []*group                // by partition, so that every turn is the same in every replay
	awake   []*group                // that do not rest: see rest.go
	woken   uint64                  // how often one came to be among them
	walked  []*group                // what a tick walks: those that were awake at its beginning
	dirty   []*group                // whose Ready must be looked at
	table   atomic.Pointer[handles] // what other goroutines see of them
}

func (s *groups) init() {
	s.of = map[kv.PartitionID]*group{}
	s.table.Store(&handles{})
}

func (s *groups) add(g *group) {
	s.of[g.p] = g
	i, _ := slices.BinarySearchFunc(s.ordered, g.p, func(g *group, p kv.PartitionID) int {
		return int(int64(g.p) - int64(p))
	})
	s.ordered = slices.Insert(s.ordered, i, g)
	s.isAwake(g)
	s.table.Store(s.table.Load().with(g.p, g.handle))
}

func (s *groups) remove(g *group) {
	delete(s.of, g.p)
	s.ordered = deleteGroup(s.ordered, g)
	s.dirty, s.awake = deleteGroup(s.dirty, g), deleteGroup(s.awake, g)
	s.table.Store(s.table.Load().with(g.p, nil))
}

// isAwake lets each tick be one of the group.
func (s *groups) isAwake(g *group) {
	if !g.rest.awake {
		g.rest.awake = true
		s.awake = append(s.awake, g)
		s.woken++
	}
}

// has reports whether a group is still here, and no later replica of its partition in its place.
func (s *groups) has(g *group) bool { return s.of[g.p] == g }

// mark lets the turn look at a group's Ready, since something has happened to it: it does not rest any more.
func (s *groups) mark(g *group) {
	if g.rest.on {
		g.wake()
	}
	s.look(g)
}

// look is mark for what happens to those at rest.
func (s *groups) look(g *group) {
	if !g.work.dirty {
		g.work.dirty = true
		s.dirty = append(s.dirty, g)
	}
}

// size is above the ids of all partitions of which there are replicas here, but for the meta group's.
func (s *groups) size() int { return len(s.table.Load().data) }

func deleteGroup(from []*group, g *group) []*group {
	return slices.DeleteFunc(from, func(o *group) bool { return o == g })
}

// handles is an immutable table; a group that comes or goes makes a new one.
type handles struct {
	data []*Handle // by partition, nil where this node has no replica
	meta *Handle
}

func (t *handles) get(p kv.PartitionID) *Handle {
	if p == kv.Meta {
		return t.meta
	}
	if int(p) >= len(t.data) {
		return nil
	}
	return t.data[p]
}

func (t *handles) with(p kv.PartitionID, h *Handle) *handles {
	n := &handles{meta: t.meta, data: t.data}
	if p == kv.Meta {
		n.meta = h
		return n
	}
	n.data = make([]*Handle, max(len(t.data), int(p)+1))
	copy(n.data, t.data)
	n.data[p] = h
	return n
}
