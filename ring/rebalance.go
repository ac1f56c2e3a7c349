package ring

import (
	"cmp"
	"slices"

	"pxkv/node/kv"
)

// Placement is, for each partition, the nodes that shall hold it. The first of a row is the preferred leader, and the
// order of the others says who leads when it cannot.
type Placement [][]kv.NodeID

// Member is a node that partitions can be placed on.
type Member struct {
	ID kv.NodeID
	// Zone says which members fail together: those of one rack, or of one building. A member without a zone (empty) is
	// a zone of its own. If all those without one were one zone together, the first member that is told
	// its zone would have to hold a replica of everything at once; so nothing moves for a zone
	// before a second member has the same.
	Zone string
}

// Rebalance returns a placement for these members that keeps what it can of the one that is there now: replicas
// distinct members a partition, or every member when there are fewer. Rows of now may name anybody, former members
// included, and may be missing. The order of members and repetitions among them do not matter, nor does NodeID
// 0, which is no node. Without members, or with replicas < 1, all rows are empty; with partitions < 1 there are none.
//
// What holds, in this order:
//
//  1. The members of a row are distinct.
//  2. They are in different zones while there are enough zones, and else as evenly spread over all of them as the sizes
//     of the zones allow: two of three replicas are in one zone where there are but two zones.
//  3. Every member holds its fair share, rounded down or up: the average, if zones do not force another one. They do
//     where a zone is so small that its members must hold more, or so large that they cannot hold as much: of three
//     zones, three replicas and P partitions, each zone holds P, shared evenly among its members.
//  4. Every member leads its fair share of partitions, the average, rounded down or up. It is always possible
//     while all hold the same share of replicas; where zones forbid that, someone may lead more.
//  5. As few replicas as can be are built anew, and as few leaders change. Without zones a member that joins gets its
//     share and nothing else moves, and when one leaves, only what it held is built elsewhere, and rarely one replica
//     more: who lacks some may be in the rows already from which they went. With zones what moves is within some
//     percent of the least that these bounds allow.
//
// How it works. What is there stays, as far as zones allow. Each gap is filled by the owner, whom
// github.com/buraksezer/consistent proposes for the partition, if he has room, or by whoever lacks most.
// Then members that lack something take it from those that have too much, the partitions that they own first,
// and leaders are evened out in the same way (see exchange).
//
// Of now nothing but its rows counts: a replica that is wanted there and is not built yet is kept like any other.
func Rebalance(now Placement, members []Member, partitions, replicas int) Placement {
	members = distinct(members)
	placement := make(Placement, max(partitions, 0))
	if len(members) == 0 || replicas < 1 || partitions < 1 {
		return placement
	}
	b := newBalance(now, members, partitions, min(replicas, len(members)))
	b.keep()
	b.fill()
	b.spread()
	leaders := b.lead()
	for p := range placement {
		placement[p] = b.row(p, leaders[p])
	}
	return placement
}

// distinct returns the members sorted by id and once each, without NodeID 0.
func distinct(members []Member) []Member {
	members = slices.DeleteFunc(slices.Clone(members), func(m Member) bool { return m.ID == 0 })
	slices.SortFunc(members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Zone, b.Zone))
	})
	return slices.CompactFunc(members, func(a, b Member) bool { return a.ID == b.ID })
}

// balance is a placement in the making. Members are known by their index.
type balance struct {
	members   []Member // sorted and distinct
	zones     zones
	replicas  int
	low, high []int   // how many replicas each member shall hold, at least and at most
	owners    []int   // of each partition: whom the ring proposes first
	was       [][]int // its row before, without former members
	led       []int   // who led it before, -1 when that is no member any more
	rows      [][]int
	held      []int // replicas by member, until they are spread
}

// newBalance needs one member at least, and not more replicas than members.
func newBalance(now Placement, members []Member, partitions, replicas int) *balance {
	b := &balance{
		members: members, zones: newZones(members, replicas), replicas: replicas, owners: owners(members, partitions),
		was: make([][]int, partitions), led: make([]int, partitions), rows: make([][]int, partitions),
		held: make([]int, len(members)),
	}
	b.low, b.high = b.zones.shares(partitions, replicas)
	index := make(map[kv.NodeID]int, len(members))
	for i, m := range members {
		index[m.ID] = i
	}
	for p := range partitions {
		b.led[p] = -1
		if p >= len(now) {
			continue
		}
		for i, node := range now[p] {
			m, present := index[node]
			if !present || slices.Contains(b.was[p], m) {
				continue
			}
			b.was[p] = append(b.was[p], m)
			if i == 0 {
				b.led[p] = m
			}
		}
	}
	return b
}

// mayJoin reports whether a member may come into the row of a partition.
func (b *balance) mayJoin(p, member int) bool {
	row := b.rows[p]
	return !slices.Contains(row, member) && b.zones.mayJoin(row, b.replicas-len(row), member)
}

func (b *balance) add(p, member int) {
	b.rows[p] = append(b.rows[p], member)
	b.held[member]++
}

// keep takes over what was, the first of each row before the others.
func (b *balance) keep() {
	for p, was := range b.was {
		for _, m := range was {
			if b.mayJoin(p, m) {
				b.add(p, m)
			}
		}
	}
}

// fill gives every partition all of its replicas.
func (b *balance) fill() {
	for p, owner := range b.owners {
		if b.held[owner] < b.high[owner] && b.mayJoin(p, owner) {
			b.add(p, owner)
		}
		for len(b.rows[p]) < b.replicas {
			b.add(p, b.neediest(p))
		}
	}
}

// neediest returns who lacks most replicas of those that may come into a row. Among equals each search begins
// elsewhere, so that the partitions of one member are spread over all others.
func (b *balance) neediest(p int) int {
	best := -1
	start := int(hash(uint64(p*b.replicas+len(b.rows[p]))) % uint64(len(b.members)))
	for i := range b.members {
		m := (start + i) % len(b.members)
		if (best < 0 || b.high[m]-b.held[m] > b.high[best]-b.held[best]) && b.mayJoin(p, m) {
			best = m
		}
	}
	return best
}

// spread moves replicas until everybody holds his share.
func (b *balance) spread() {
	x := newExchange(b, func(p int) []int { return b.rows[p] })
	x.low, x.high = b.low, b.high
	x.may = func(p, from, to int, free bool) bool {
		return !slices.Contains(b.rows[p], to) && b.zones.mayReplace(b.rows[p], from, to) &&
			(!free || slices.Contains(b.was[p], to) || !slices.Contains(b.was[p], from))
	}
	// Best is what the owner gets, who may lead it then; else a leader stays where it is.
	x.rank = func(p, from, to int) int {
		switch {
		case b.owners[p] == to:
			return 0
		case b.led[p] != from:
			return 1
		}
		return 2
	}
	x.hand = func(p, from, to int) { b.rows[p][slices.Index(b.rows[p], from)] = to }
	x.level()
}

// row returns the nodes of a partition: its leader, then who was there, in the same order as before, then who is new.
func (b *balance) row(p, leader int) []kv.NodeID {
	row := make([]kv.NodeID, 0, b.replicas)
	for _, m := range slices.Concat([]int{leader}, b.was[p], b.rows[p]) {
		node := b.members[m].ID
		if slices.Contains(b.rows[p], m) && !slices.Contains(row, node) {
			row = append(row, node)
		}
	}
	return row
}
