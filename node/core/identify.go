package core

import (
	"pxkv/node/kv"
	"pxkv/node/member"
	"pxkv/persist"
)

// Start is one start of a node.
type Start struct {
	Identity    persist.Identity // with this start counted
	Incarnation uint64           // a random number that stands for this start
	Fresh       bool             // the node has never been before: it has promised nothing to anybody
	// Former is the node that the directory was of, when it was moved or copied before that one was in a
	// cluster: this is a new node. Else 0.
	Former kv.NodeID
}

// Identify reads who the node on a disk is, or makes it someone new, and counts the start: nothing may be done in
// the node's name before. fresh gives the id of a new node; incarnation is not 0.
func Identify(db *persist.DB, name string, fresh func() kv.NodeID, incarnation uint64) (Start, error) {
	s := Start{Incarnation: incarnation}
	id, known, err := db.Identity()
	if err != nil {
		return s, err
	}
	replicas, err := db.Replicas()
	if err != nil {
		return s, err
	}
	if known && member.Cloned(id, len(replicas)) {
		known, s.Former = false, id.Node
	}
	if !known {
		s.Fresh, id = true, persist.Identity{Node: fresh()}
	}
	id = member.Start(id)
	id.Name = name
	s.Identity = id
	return s, db.SaveIdentity(id)
}
