// Package core builds what decides on a node, from the disk up: the meta group's state machine, the
// cache, the planner of moves and the host of all replicas. It needs no goroutine, network or clock, so that a
// real process, the tests of package node and the simulation are built by the same lines.
//
// Callers: cmd/pxkv/server, the tests of package node, node/sim. In order:
//
//  1. Identify: who the node is, and that it starts once more.
//  2. New.
//  3. Found, on the node that makes a cluster, before the first turn.
package core

import (
	"errors"
	"fmt"

	"pxkv/node/cache"
	"pxkv/node/kv"
	"pxkv/node/machine"
	"pxkv/node/meta"
	"pxkv/node/rebalance"
	"pxkv/node/replica"
	"pxkv/persist"
)

// Options say what a Core is built on. All but Cache, Values, Moves and Host are required.
type Options struct {
	DB    *persist.DB
	Start Start
	Cache *cache.Cache // nil: none
	// Values makes the state machine of a partition of keys. nil: machine.KV, which asks Cache.
	Values func() replica.StateMachine
	Moves  rebalance.Limits
	// Host is what else the host is told. New fills in who the node is, and the parts.
	Host replica.Config
}

// Core is what decides on a node.
type Core struct {
	Start   Start
	Machine *meta.Machine
	Planner *rebalance.Executor
	Host    *replica.Host
}

// New builds a Core of what the disk holds.
func New(o Options) (*Core, error) {
	id := o.Start.Identity
	c := &Core{Start: o.Start, Machine: meta.NewMachine(o.DB.Store, id.Node)}
	c.Machine.SetOwn(id.MetaReplica)
	c.Planner = &rebalance.Executor{State: c.Machine.State, Limits: o.Moves, Logger: o.Host.Logger}
	values := o.Values
	if values == nil {
		values = func() replica.StateMachine { return &machine.KV{Known: o.Cache.Has} }
	}
	h := o.Host
	h.Node, h.Incarnation, h.Starts = id.Node, o.Start.Incarnation, id.Starts
	h.Fresh, h.Moved, h.Copied = o.Start.Fresh, id.Elsewhere, id.Copy
	h.DB, h.Policy, h.OnTick, h.OnChange = o.DB, c.Machine, c.Planner.Tick, c.Planner.Changed
	if h.Cache == nil && o.Cache != nil {
		h.Cache = o.Cache
	}
	h.Machine = func(p kv.PartitionID) replica.StateMachine {
		if p == kv.Meta {
			return c.Machine
		}
		return values()
	}
	var err error
	c.Host, err = replica.NewHost(h)
	return c, err
}

// Found makes all groups of a new cluster, of which this node is the only member. What makes the cluster exist is
// the one synced batch with the first replica of every group.
func (c *Core) Found(s *meta.State) error {
	if err := s.Validate(); err != nil {
		return fmt.Errorf("new cluster: %w", err)
	}
	err := c.Host.Bootstrap(kv.Meta, s.Members[0].MetaReplica, c.Machine.Seed(s))
	for p, row := range s.Placement {
		err = errors.Join(err, c.Host.Bootstrap(kv.PartitionID(p), row[0].ID, nil))
	}
	if err = errors.Join(err, c.Host.CommitNow(), c.Machine.Reload()); err != nil {
		return fmt.Errorf("new cluster: %w", err)
	}
	return nil
}
