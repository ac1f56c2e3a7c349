package kv

// Refusal is why a node does not take a snapshot that another node offers. It survives the wire,
// and wrapped in other errors it tells the sender what to do: compare with errors.AsType.
type Refusal uint8

const (
	// NoRoom: the disk has too little left for it. It helps only that somebody makes room.
	NoRoom Refusal = 1
	// Busy: as many snapshots as the node may take are arriving. It will have room soon.
	Busy Refusal = 2
	// NotWanted: the replica is not on this node, or not yet.
	NotWanted Refusal = 3

	refusalLimit Refusal = 4
)

var refusalNames = [...]string{"refused", "no_room", "busy", "not_wanted"}

// String returns the short code of the refusal, as in metrics.
func (r Refusal) String() string {
	if r >= refusalLimit {
		r = 0
	}
	return refusalNames[r]
}

// Error implements error.
func (r Refusal) Error() string {
	switch r {
	case NoRoom:
		return "the node's disk has no room for a snapshot"
	case Busy:
		return "the node is busy receiving other snapshots"
	case NotWanted:
		return "the node has no such replica"
	}
	return "the node refuses the snapshot"
}
