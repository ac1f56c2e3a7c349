package core

import (
	"errors"
	"fmt"

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
// the node's name before. fresh gives the id of a new node; incarnation is not 0. Data without an identity is an error:
// a node that does not know what it promised must not speak.
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
	if !known && len(replicas) > 0 {
		return s, errors.New("the data directory has the data of a node and no identity.json, which says of which: " +
			"put that back, or start with an empty data directory")
	}
	if known && id.Left {
		return s, fmt.Errorf("node %q of this data directory has left cluster %q, as it was asked to: start with an "+
			"empty data directory to join as a new node", id.Name, id.ClusterName)
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
