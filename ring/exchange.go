package ring

import "slices"

// exchange evens out what members have, by handing it from one to another: replicas of partitions, or the first places
// of their rows. Members are known by their index.
//
// It is a flow: each chain of handovers, from a member that has too much to one that has too little, is an augmenting
// path in a graph whose edge from a to b is a partition that a could hand to b. When no chain is left, no
// distribution is closer to the bounds. Chains are searched breadth first, members and partitions in order, so the
// result follows from the arguments alone.
type exchange struct {
	of        [][]int  // the partitions that each member has
	low, high []int    // how many each shall have, at least and at most
	salts     []uint64 // of each member: where searches through what another one has begin

	// may reports whether a partition can go from one to another; with free, whether that costs nothing, since it
	// is new to the one, or was with the other before.
	may func(p, from, to int, free bool) bool
	// rank says how well a partition suits for that: 0 is the best.
	rank func(p, from, to int) int
	// hand notes that it goes.
	hand func(p, from, to int)
}

// newExchange begins with what each member has by holders, which names those of every partition.
func newExchange(b *balance, holders func(p int) []int) *exchange {
	x := &exchange{of: make([][]int, len(b.members)), salts: make([]uint64, len(b.members))}
	for m := range b.members {
		x.salts[m] = hash(uint64(b.members[m].ID))
	}
	for p := range b.rows {
		for _, m := range holders(p) {
			x.of[m] = append(x.of[m], p)
		}
	}
	return x
}

// level hands on until everybody is within the bounds, as far as that is possible. What costs nothing goes first.
func (x *exchange) level() {
	for _, free := range []bool{true, false} {
		x.pull(x.low, x.high, free)
		x.pull(x.low, x.low, free)
		x.pull(x.high, x.high, free)
	}
}

// pull brings those who have less than they want as much, from others who have more than they need.
func (x *exchange) pull(wants, needs []int, free bool) {
	// To whom no chain leads, and to whoever is on the way to him, none will lead later in this round either.
	hopeless := make([]bool, len(x.of))
	for to := range x.of {
		for len(x.of[to]) < wants[to] && !hopeless[to] && x.chain(to, needs, free, hopeless) {
		}
	}
}

// link is how a chain goes on from a member.
type link struct{ partition, to int }

// chain searches for the shortest chain that ends at a member and carries it out. Shortest, since each link may move
// data; and since a chain that could be shorter might change a row twice, in ways that exclude each other.
func (x *exchange) chain(to int, needs []int, free bool, hopeless []bool) bool {
	spare := func(m int) bool { return len(x.of[m]) > needs[m] }
	if !x.anyone(spare) {
		return false
	}
	links := make([]link, len(x.of))
	reached := slices.Clone(hopeless)
	reached[to] = true
	queue := []int{to}
	for at := 0; at < len(queue); at++ {
		// Whoever has some to spare is asked first, and then it pays to choose.
		for _, ends := range []bool{true, false} {
			for from := range x.of {
				if reached[from] || spare(from) != ends {
					continue
				}
				p, ok := x.gift(from, queue[at], free, ends)
				if !ok {
					continue
				}
				links[from], reached[from] = link{p, queue[at]}, true
				if ends {
					x.carryOut(links, from, to)
					return true
				}
				queue = append(queue, from)
			}
		}
	}
	for _, m := range queue {
		hopeless[m] = true
	}
	return false
}

func (x *exchange) anyone(is func(m int) bool) bool {
	for m := range x.of {
		if is(m) {
			return true
		}
	}
	return false
}

// choices is how many partitions are compared where it pays to choose.
const choices = 64

// gift returns a partition that one member could hand to another: any, or the one that suits best among some. Searches
// begin at different places for different members, so that what one has does not end up together elsewhere.
func (x *exchange) gift(from, to int, free, choose bool) (best int, ok bool) {
	all, rank, seen := x.of[from], 0, 0
	for i := range all {
		p := all[(i+int(x.salts[to]%uint64(len(all))))%len(all)]
		if !x.may(p, from, to, free) {
			continue
		}
		if !choose {
			return p, true
		}
		if r := x.rank(p, from, to); !ok || r < rank {
			best, rank, ok = p, r, true
		}
		if seen++; rank == 0 || seen == choices {
			break
		}
	}
	return best, ok
}

func (x *exchange) carryOut(links []link, from, to int) {
	for m := from; m != to; m = links[m].to {
		l := links[m]
		at, last := slices.Index(x.of[m], l.partition), len(x.of[m])-1
		x.of[m][at] = x.of[m][last]
		x.of[m] = x.of[m][:last]
		x.of[l.to] = append(x.of[l.to], l.partition)
		x.hand(l.partition, m, l.to)
	}
}
