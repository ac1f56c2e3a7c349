package member

import (
	"fmt"
	"slices"
	"time"

	"pxkv/node/kv"
	"pxkv/node/replica"
)

// DefaultSilence is how long nobody may have heard a member before it can be replaced.
const DefaultSilence = 10 * time.Second

// wayOut is what to do about a vote that is needed.
const wayOut = "start it again with its own data directory; if that is lost, or was in memory, see \"In memory\" in " +
	"docs/operations.md"

// Inquiry finds out whether a member may be replaced by a newcomer of its name: what all other
// members say of it, asked by the node that leads the meta group. A member is replaced only when every
// group, the meta group included, has a leader that reaches its majority without the former one's
// vote, and when nobody who can be asked has heard it for a while, unless it has told one of them that it
// has ended for good, as those in memory do: silence only tells that it is not alive. A group without a leader may need
// just that vote; once it is given up, the disk that has it is refused for ever. Whoever is there must have answered:
// it could lead a group in a moment and give the former one a vote, and only who has answered does not
// (replica.WordBinds).
type Inquiry struct {
	Former     kv.NodeID
	Partitions int
	Least      time.Duration // of silence
	Names      kv.Names      // of members, for people
	said       map[kv.NodeID]replica.Witness
}

// Objection is why a member must stay one.
type Objection struct {
	// Text says it to people, with figures that are others at each look; empty: nothing is in the way.
	Text string
	// Kind stays the same as long as the same kind of thing is in the way: who logs what changes goes by it.
	Kind string
}

// The kinds of objections of an Inquiry.
const (
	kindHeard      = "heard"
	kindNeeded     = "needed"
	kindUnsure     = "unsure"
	kindLeaderless = "leaderless"
)

func objection(kind, format string, args ...any) Objection {
	return Objection{fmt.Sprintf(format, args...), kind}
}

// Hear takes what a member says.
func (q *Inquiry) Hear(from kv.NodeID, w replica.Witness) {
	if q.said == nil {
		q.said = map[kv.NodeID]replica.Witness{}
	}
	q.said[from] = w
}

// Decide returns why the former one must stay a member; nothing when it may be replaced.
func (q *Inquiry) Decide() Objection {
	var from []kv.NodeID
	for id := range q.said {
		from = append(from, id)
	}
	slices.Sort(from)
	spared := map[kv.PartitionID]bool{}
	gone := slices.ContainsFunc(from, func(id kv.NodeID) bool { return q.said[id].Gone })
	for _, id := range from {
		w := q.said[id]
		if w.Silence < q.Least && !gone && !replacedThoughHeard {
			return objection(kindHeard, "node %s heard it %v ago, and it takes %v of silence: if that one is to be "+
				"replaced or removed, stop it", q.Names.Of(id), w.Silence.Round(time.Millisecond), q.Least)
		}
		for _, p := range w.Needs {
			if !replacedWithoutMajority {
				return objection(kindNeeded, "partition %s has no majority without its vote: %s", p, wayOut)
			}
		}
		for _, p := range w.Spares {
			spared[p] = true
		}
	}
	for _, id := range from {
		for _, there := range q.said[id].Hears {
			if _, answered := q.said[there]; !answered && there != q.Former && !askedInPart {
				return objection(kindUnsure, "node %s is there, and has not said yet whether it hears it",
					q.Names.Of(there))
			}
		}
	}
	if replacedWithoutMajority {
		return Objection{}
	}
	if !spared[kv.Meta] {
		return objection(kindUnsure, "the meta group's leader is not sure of its majority")
	}
	for p := range q.Partitions {
		if !spared[kv.PartitionID(p)] {
			return objection(kindLeaderless, "partition %d has no leader that can be asked, and may need its vote: %s",
				p, wayOut)
		}
	}
	return Objection{}
}
