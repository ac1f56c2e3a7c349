package replica

import (
	"time"

	"pxkv/node/kv"
)

// Witness is what a node says of a member that is to be replaced.
type Witness struct {
	Silence time.Duration    `json:"silence"` // since it last heard it, or since it began to listen
	Spares  []kv.PartitionID `json:"spares"`  // groups that it leads, and that have a majority without it
	Needs   []kv.PartitionID `json:"needs"`   // groups that it leads, and that have none
	// Gone: it has said itself that it has ended and that its memory went with it. The host knows nothing of that.
	Gone bool `json:"gone,omitzero"`
}

// Witness says what this node knows of another one. Of itself it says that it lives, and of no group
// that it spares it.
func (h *Host) Witness(of kv.NodeID) Witness {
	if of == h.cfg.Node {
		return Witness{}
	}
	w := Witness{Silence: h.clock.uptime()}
	if at, known := h.recall.heard[of]; known {
		w.Silence = h.clock.Boot - at
	}
	for _, g := range h.groups.ordered {
		switch {
		case !g.ready():
		case g.spares(of):
			w.Spares = append(w.Spares, g.p)
		default:
			w.Needs = append(w.Needs, g.p)
		}
	}
	return w
}

// spares reports whether this leader has heard a majority of its voters lately without the replicas
// on a node.
func (g *group) spares(of kv.NodeID) bool {
	majority := func(ids []uint64) bool {
		n := 0
		for _, x := range ids {
			id := kv.ReplicaID(x)
			ago, spoke := g.known.since(id, g.h.clock.Boot)
			if id == g.id || g.known.node(id) != of && spoke && ago <= 2*ElectionTicks*g.h.cfg.Tick {
				n++
			}
		}
		return len(ids) == 0 || n > len(ids)/2
	}
	conf := g.applied.Conf
	return majority(conf.GetVoters()) && majority(conf.GetVotersOutgoing())
}
