package node

import (
	"context"
	"encoding/json"

	"pxkv/node/autopilot"
	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/replica"
	"pxkv/node/rpc"
)

// selfMethod asks a node what it says of itself. Nodes of older versions refuse it, and say by that that they
// understand nothing newer than version 1 of a cluster.
var selfMethod = rpc.Method[*Node, struct{}, autopilot.Self]{
	Kind: reqSelf, Repeatable: true,
	Encode:       func(struct{}, int) []byte { return rpc.NewRequest(0) },
	Decode:       decodeNothing,
	Here:         (*Node).selfHere,
	EncodeAnswer: func(s autopilot.Self) []byte { return encodeJSON(s) },
	DecodeAnswer: func(_ struct{}, d kv.Decoder) (s autopilot.Self, ok bool) {
		err := json.Unmarshal(d.Rest(), &s)
		return s, err == nil
	},
}

// self asks one member, or this node.
func (n *Node) self(ctx context.Context, of kv.NodeID) (autopilot.Self, *kv.Error) {
	if of == n.o.ID {
		return n.selfHere(ctx, struct{}{})
	}
	return selfMethod.AskNode(ctx, n.client, of, struct{}{})
}

func (n *Node) selfHere(ctx context.Context, _ struct{}) (autopilot.Self, *kv.Error) {
	self := autopilot.Self{Version: meta.NewestVersion, Zone: n.o.Zone, Room: -1, Bytes: map[kv.PartitionID]int64{}}
	var led []kv.PartitionID // with self written by the loop, perhaps after ctx has ended
	said := make(chan autopilot.Self, 1)
	err := n.o.Loop.Do(ctx, func(h *replica.Host) {
		now := self
		now.Starts = h.Starts()
		if s := n.o.Machine.State(); s != nil {
			now.Epoch = s.Epoch
		}
		for _, p := range h.Partitions() {
			if p == kv.Meta {
				continue
			}
			now.Hosts++
			if v, _ := h.View(p); v.Leads {
				led = append(led, p)
			}
		}
		said <- now
	})
	if err != nil {
		return self, kv.Errorf(kv.Unavailable, "node %s: %v", n.o.Name, err)
	}
	self = <-said
	for _, p := range led {
		self.Bytes[p] = n.o.DB.EstimateBytes(p)
	}
	if room, err := n.o.DB.LookForRoom(); err == nil {
		self.Room = max(room.Growth(), 0)
	}
	return self, nil
}
