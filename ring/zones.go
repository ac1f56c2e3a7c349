package ring

import "sort"

// zones are the members by what fails together. A member without a zone is one of its own.
type zones struct {
	of    []int // the zone of each member
	sizes []int // members of each zone
	depth int   // how many replicas of a partition may be in one zone
}

// newZones groups the members. The depth is as low as the sizes allow for so many replicas: 1 while there are enough
// zones for them.
func newZones(members []Member, replicas int) zones {
	z := zones{of: make([]int, len(members)), depth: 1}
	named := map[string]int{}
	for i, m := range members {
		at, known := named[m.Zone]
		if !known {
			at = len(z.sizes)
			z.sizes = append(z.sizes, 0)
			if m.Zone != "" {
				named[m.Zone] = at
			}
		}
		z.of[i] = at
		z.sizes[at]++
	}
	for z.room() < replicas {
		z.depth++
	}
	return z
}

// room is how many replicas of one partition fit into all zones.
func (z *zones) room() (n int) {
	for zone := range z.sizes {
		n += z.most(zone)
	}
	return n
}

// most and least are how many replicas of a partition are in a zone. They differ by one, or not at all where a zone has
// no member more.
func (z *zones) most(zone int) int  { return min(z.depth, z.sizes[zone]) }
func (z *zones) least(zone int) int { return min(z.depth-1, z.sizes[zone]) }

// in counts the members of a row that are in a zone.
func (z *zones) in(row []int, zone int) (n int) {
	for _, m := range row {
		if z.of[m] == zone {
			n++
		}
	}
	return n
}

// lacking is how many replicas a row needs at least to have its least of every zone.
func (z *zones) lacking(row []int) (n int) {
	if z.depth == 1 {
		return 0
	}
	for zone := range z.sizes {
		n += max(0, z.least(zone)-z.in(row, zone))
	}
	return n
}

// mayJoin reports whether a member's zone has room for it in a row that lacks so many replicas.
func (z *zones) mayJoin(row []int, missing, member int) bool {
	zone := z.of[member]
	in := z.in(row, zone)
	return in < z.least(zone) || in < z.most(zone) && z.lacking(row) < missing
}

// mayReplace reports whether one member of a row may give its place to another, as far as zones go.
func (z *zones) mayReplace(row []int, from, to int) bool {
	out, in := z.of[from], z.of[to]
	return out == in || z.in(row, out) > z.least(out) && z.in(row, in) < z.most(in)
}

// shares returns how many replicas each member shall hold at least and at most: the same for all, as far as the zones
// allow. The two differ by one at most.
func (z *zones) shares(partitions, replicas int) (low, high []int) {
	all := partitions * replicas
	held := func(each int) (n int) {
		for zone, size := range z.sizes {
			n += clamp(each*size, partitions*z.least(zone), partitions*z.most(zone))
		}
		return n
	}
	// The level to which all members fill up, rounded down: a zone that must hold more holds more, and one
	// that has no room for so much holds less.
	level := sort.Search(partitions, func(l int) bool { return held(l+1) > all })
	above := level
	if held(level) < all {
		above++
	}
	for _, zone := range z.of {
		least, most, size := partitions*z.least(zone), partitions*z.most(zone), z.sizes[zone]
		low = append(low, clamp(level, least/size, most/size))
		high = append(high, clamp(above, ceilDiv(least, size), ceilDiv(most, size)))
	}
	return low, high
}

func clamp(n, low, high int) int { return min(max(n, low), high) }

func ceilDiv(a, b int) int { return (a + b - 1) / b }
