package rpc

import (
	"context"
	"encoding/binary"
	"time"

	"pxkv/node/kv"
)

// Watch asks every member in turn what it leads, until ctx ends: so that this node knows whom it can ask,
// and who leads partitions of which it hears nothing itself.
func (c *Client) Watch(ctx context.Context) {
	ticker := time.NewTicker(c.o.AskInterval)
	defer ticker.Stop()
	for round := 0; ; round++ {
		if s := c.o.Machine.State(); s != nil {
			var members []kv.NodeID
			for _, m := range s.Members {
				members = append(members, m.ID)
				if m.ID != c.o.Self {
					c.probe(m.ID, round)
				}
			}
			c.ways.keep(members)
			c.lanes.keep(members)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// probe asks a node directly and, when that fails, by way of one other, each round of another.
func (c *Client) probe(to kv.NodeID, round int) {
	c.o.Peers.Go(to, KindLeading, time.Now().Add(c.o.AskInterval), nil, func(b []byte, err error) {
		if err == nil {
			c.ways.set(to, way{})
			c.learnLeading(to, b)
			return
		}
		before, _ := c.ways.get(to)
		thirds := c.thirds(to, before.via)
		if len(thirds) == 0 || c.stop.Load() {
			c.ways.set(to, way{cut: true, silent: c.isSilent(err)})
			return
		}
		third := thirds[0] // the one that led there before
		if before.via == 0 {
			third = thirds[round%len(thirds)]
		}
		c.ways.failed(to, c.isSilent(err))
		c.probeVia(third, to)
	})
}

func (c *Client) probeVia(third, to kv.NodeID) {
	request := encodeVia(to, KindLeading, nil)
	c.o.Peers.Go(third, KindVia, time.Now().Add(c.o.AskInterval), request, func(b []byte, err error) {
		if err == nil {
			b, err = decodeVia(b)
		}
		v, _ := c.ways.get(to)
		if !v.cut {
			return // it has mended meanwhile
		}
		if err != nil {
			c.ways.set(to, way{cut: true, silent: v.silent})
			return
		}
		c.ways.set(to, way{cut: true, via: third})
		c.learnLeading(to, b)
	})
}

// learnLeading takes what a node says it leads, for partitions whose leader is not heard here.
func (c *Client) learnLeading(from kv.NodeID, b []byte) {
	s := c.o.Machine.State()
	if s == nil {
		return
	}
	leads, ok := decodeLeading(b, s.Partitions)
	for p := range leads {
		if c.o.Loop.Leader(p).Node == 0 {
			c.routes.learn(p, from)
		}
	}
	if ok {
		c.routes.forget(from, leads)
	}
}

// decodeLeading reads which partitions another node says it leads, as far as they exist; ok is false where it says
// more than that, or makes no sense.
func decodeLeading(b []byte, partitions int) (leads map[kv.PartitionID]bool, ok bool) {
	d, e := DecodeAnswer(b)
	if e != nil {
		return nil, false
	}
	leads = map[kv.PartitionID]bool{}
	for len(d.Rest()) > 0 {
		p := d.Uvarint()
		if d.Err() != nil || p >= uint64(partitions) {
			return leads, false
		}
		leads[kv.PartitionID(p)] = true
	}
	return leads, true
}

// leading is the answer that lists the partitions that this node leads.
func (c *Client) leading() []byte {
	b := NewAnswer(0)
	s := c.o.Machine.State()
	if s == nil {
		return b
	}
	for p := range s.Partitions {
		if c.o.Loop.Leader(kv.PartitionID(p)).Self {
			b = binary.AppendUvarint(b, uint64(p))
		}
	}
	return b
}
