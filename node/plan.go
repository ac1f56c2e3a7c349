package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"pxkv/node/autopilot"
	"pxkv/node/kv"
	"pxkv/node/meta"
)

// The changes that a plan can be asked for.
const (
	planAdd     = "add"
	planRemove  = "remove"
	planReplace = "replace"
)

// Plan says what would happen if a member came, went, or were replaced, by the word of all members now. It changes
// nothing. change is add, remove or replace. replicas is as in Leave, and only for remove. An error is a *kv.Error.
func (n *Node) Plan(ctx context.Context, change, name string, replicas int) (kv.PlanView, error) {
	ctx, cancel := n.bound(ctx)
	defer cancel()
	s := n.o.Machine.State()
	if s == nil {
		return kv.PlanView{}, n.notJoined()
	}
	if err := meta.CheckName(name); err != nil {
		return kv.PlanView{}, kv.Errorf(kv.Invalid, "%v", err)
	}
	f := n.facts(ctx, s, true)
	p := planned{n: n, f: f, v: kv.PlanView{Change: change, Node: name, Epoch: s.Epoch, Moves: []kv.MoveView{}}}
	var err error
	switch change {
	case planAdd:
		p.add(name)
	case planRemove:
		err = p.remove(ctx, name, replicas)
	case planReplace:
		err = p.replace(ctx, name)
	default:
		err = kv.Errorf(kv.Invalid, "a plan is to add, remove or replace a member, not to %.40q", change)
	}
	if err == nil && ctx.Err() != nil {
		err = errNoTime()
	}
	if err != nil {
		return kv.PlanView{}, err
	}
	return p.v, nil
}

// planned is a plan that is being made.
type planned struct {
	n *Node
	f *autopilot.Facts
	v kv.PlanView
}

func (p *planned) refuse(format string, args ...any) {
	p.v.Refused = append(p.v.Refused, fmt.Sprintf(format, args...))
}

// add shows what a new member would get. Its id is drawn when it first starts, and decides which partitions those are:
// what is shown is one such case.
func (p *planned) add(name string) {
	s := p.f.State
	if _, taken := s.MemberByName(name); taken {
		p.refuse("there is a member of the name %q already", name)
	}
	if len(s.Members) >= meta.MaxMembers {
		p.refuse("the cluster has %d members already and takes no more", len(s.Members))
	}
	id := kv.NodeID(xxhash.Sum64String(name) | 1)
	p.moves(append(s.ActiveIDs(), id), s.Replicas, map[kv.NodeID]string{id: name})
}

func (p *planned) find(name string) (meta.Member, error) {
	m, err := autopilot.Wish{Name: name}.Find(p.f.State)
	if err != nil {
		return m, kv.Errorf(kv.Invalid, "%v", err)
	}
	return m, nil
}

// remove shows what becomes of a member's replicas: of one that answers when it leaves, else when it is given up. Of
// one that departs already it shows what is left of that.
func (p *planned) remove(ctx context.Context, name string, replicas int) error {
	m, err := p.find(name)
	if err != nil {
		return err
	}
	s := p.f.State
	w := autopilot.Wish{Kind: autopilot.Leave, Name: name, Replicas: replicas}
	why := ""
	if _, answers := p.f.Selves[m.ID]; !answers {
		w.Kind = autopilot.Remove
		why = p.n.inquire(ctx, s, m.ID, p.n.o.Silence).Text
	}
	p.v.Refused = w.Refuse(p.f, m, why)
	active := slices.DeleteFunc(s.ActiveIDs(), func(id kv.NodeID) bool { return id == m.ID })
	if replicas == 0 {
		replicas = s.Replicas
	}
	switch {
	case len(active) == 0:
	case m.Departure != nil && !s.PlacementOutdated(): // it is placed nowhere any more
		p.show(autopilot.MovesLeft(p.f, m.ID), min(replicas, len(active)), nil)
	default:
		p.moves(active, replicas, nil)
	}
	return nil
}

// replace shows what a new node in a member's place would be filled with.
func (p *planned) replace(ctx context.Context, name string) error {
	m, err := p.find(name)
	if err != nil {
		return err
	}
	if why := p.n.inquire(ctx, p.f.State, m.ID, p.n.o.Silence).Text; why != "" {
		p.refuse("%s cannot be replaced: %s", name, why)
	}
	p.show(autopilot.MovesAnew(p.f, m.ID), p.f.State.Replicas, nil)
	return nil
}

func (p *planned) moves(active []kv.NodeID, replicas int, names map[kv.NodeID]string) {
	p.show(autopilot.Moves(p.f, active, replicas), min(replicas, len(active)), names)
}

// planRate is at what pace a node is assumed to be filled, in bytes a second, and planStep what a partition takes
// however small it is.
const (
	planRate = 64 << 20
	planStep = 20 * time.Millisecond
)

func (p *planned) show(moves []autopilot.Move, replicas int, names map[kv.NodeID]string) {
	name := func(ids []kv.NodeID) (out []string) {
		for _, id := range ids {
			if text, is := names[id]; is {
				out = append(out, text)
			} else {
				out = append(out, nameOf(p.f.State, id))
			}
		}
		return out
	}
	var busiest int64
	for _, bytes := range autopilot.Arriving(moves) {
		p.v.Bytes += bytes
		busiest = max(busiest, bytes)
	}
	for _, m := range moves {
		v := kv.MoveView{Partition: m.Partition, From: name(m.From), To: name(m.To), Bytes: m.Bytes}
		if m.NewLeader != m.OldLeader && m.NewLeader != 0 {
			v.Leader = name([]kv.NodeID{m.NewLeader})[0]
		}
		p.v.Moves = append(p.v.Moves, v)
	}
	took := time.Duration(float64(busiest)/planRate*float64(time.Second)) + time.Duration(len(moves))*planStep
	p.v.Seconds = int64(took.Seconds() + 0.999)
	p.v.AtRisk = autopilot.AtRisk(p.f, moves, replicas)
}
