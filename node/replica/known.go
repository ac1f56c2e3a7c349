package replica

import (
	"time"

	"pxkv/node/kv"
)

// known is what a group knows of its replicas: those of the applied configuration, and some
// others that it heard of by message only. There are a handful, so a walk is faster than a hash
// table, and each message asks.
type known struct {
	replicas []kv.Replica // who is behind each id of the applied configuration
	infos    []replicaInfo
	probed   uint64 // tick at which one that is out of it was last answered
	// caller is the node of a leader that speaks to a later replica of this node, 0: none has. It may be the only one
	// that can say whether this replica is still needed: one that never got anything knows nobody, and the placement
	// may name nobody else.
	caller kv.NodeID
}

type replicaInfo struct {
	id    kv.ReplicaID
	node  kv.NodeID     // 0: nobody said
	heard time.Duration // boot time of its last message
	spoke bool          // heard is valid
	// followed is when, by the boot time of this leader, the last of its heartbeats of this term left
	// that the replica answered; 0: none.
	followed time.Duration
	report   report
	void     time.Duration // boot time of its last word that its state is void, 0: never
	rests    bool          // it said so, since this leader last had something to do
	rested   bool          // it said so with its last answer
}

// maxStrangers bounds how many replicas outside the configuration are remembered.
const maxStrangers = 32

func (k *known) find(id kv.ReplicaID) *replicaInfo {
	for i := range k.infos {
		if k.infos[i].id == id {
			return &k.infos[i]
		}
	}
	return nil
}

// node returns where a replica is, 0 when nobody told.
func (k *known) node(id kv.ReplicaID) kv.NodeID {
	if r := k.find(id); r != nil {
		return r.node
	}
	return 0
}

// void notes when a replica said that its state is void; 0: it is not, as it shows.
func (k *known) void(id kv.ReplicaID, now time.Duration) {
	if r := k.find(id); r != nil {
		r.void = now
	}
}

// since returns how long ago a replica was heard; false: never.
func (k *known) since(id kv.ReplicaID, now time.Duration) (time.Duration, bool) {
	if r := k.find(id); r != nil && r.spoke {
		return now - r.heard, true
	}
	return 0, false
}

// hear notes that a replica is there, and where. One outside the configuration may be the
// leader of a newer one.
func (k *known) hear(id kv.ReplicaID, node kv.NodeID, now time.Duration) {
	r := k.find(id)
	if r == nil {
		if len(k.infos) >= len(k.replicas)+maxStrangers {
			return
		}
		k.infos = append(k.infos, replicaInfo{id: id, node: node})
		r = &k.infos[len(k.infos)-1]
	}
	if r.node == 0 {
		r.node = node
	}
	r.heard, r.spoke = now, true
}

// become follows a configuration: all others are forgotten.
func (k *known) become(members []kv.Replica) {
	infos := make([]replicaInfo, 0, len(members)+2)
	for _, m := range members {
		r := replicaInfo{id: m.ID}
		if old := k.find(m.ID); old != nil {
			r = *old
		}
		r.node = m.Node
		infos = append(infos, r)
	}
	k.replicas, k.infos = members, infos
}
