package meta

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/node/replica"
	"pxkv/persist"
	"pxkv/persist/data"
	"pxkv/persist/raftlog"
	"pxkv/persist/state"
)

// stateKey is where the meta partition keeps its one value.
var stateKey = []byte("state")

// Machine is the meta group's state machine on one node, and with it this node's knowledge
// of the cluster. It is a replica.StateMachine and a replica.Policy.
type Machine struct {
	store *data.Store
	node  kv.NodeID
	own   atomic.Uint64 // the node's replica id in the meta group, 0 before it joined

	working *State                // with the effects of the turn under way
	state   atomic.Pointer[State] // as committed and readable
	// OnChange is called after each change of the state, on the goroutine of the turn. Set it
	// before the first turn.
	OnChange func(*State)
}

// NewMachine returns the Machine of a node.
func NewMachine(s *data.Store, node kv.NodeID) *Machine { return &Machine{store: s, node: node} }

// State returns the newest state that this node knows, nil before there is any.
func (m *Machine) State() *State { return m.state.Load() }

// SetOwn says which replica of the meta group the cluster gave this node.
func (m *Machine) SetOwn(id kv.ReplicaID) { m.own.Store(uint64(id)) }

// Apply implements replica.StateMachine.
func (m *Machine) Apply(
	a *data.Apply, p kv.PartitionID, ap *state.Applied, payload *entry.Payload, _ bool,
) (entry.Outcome, error) {
	if payload.Raw == nil || m.working == nil {
		return entry.Outcome{}, fmt.Errorf("%w: not a meta command, or no state to apply it to", entry.ErrUnreadable)
	}
	next, result, err := m.working.Apply(payload.Raw)
	if err != nil {
		return entry.Outcome{}, err
	}
	ap.TimeMS = max(ap.TimeMS, payload.TimeMS)
	if next != m.working {
		ap.Revision++
		b := next.Encode()
		var d xxhash.Digest
		d.Reset()
		d.Write(binary.LittleEndian.AppendUint64(nil, ap.Hash))
		d.Write(b)
		ap.Hash = d.Sum64()
		a.Put(p, stateKey, record(b, ap.Revision, ap.TimeMS))
		m.working = next
	}
	return entry.Outcome{Replies: []entry.Reply{{Raw: result}}}, nil
}

// Due implements replica.StateMachine: nothing of the state of the cluster expires.
func (m *Machine) Due(*data.Store, kv.PartitionID, int64) (bool, error) { return false, nil }

// Purge implements replica.StateMachine. No leader proposes one.
func (m *Machine) Purge(*data.Apply, kv.PartitionID, *state.Applied, *entry.Payload) (int, error) {
	return 0, fmt.Errorf("%w: a purge in the meta group", entry.ErrUnreadable)
}

func record(b []byte, version uint64, timeMS int64) data.Record {
	return data.Record{Value: kv.Value{Kind: kv.JSON, Data: b}, Version: version, ModifiedMS: timeMS}
}

// Committed implements replica.StateMachine.
func (m *Machine) Committed() {
	if s := m.working; s != m.state.Load() {
		m.state.Store(s)
		if m.OnChange != nil {
			m.OnChange(s)
		}
	}
}

// Reload implements replica.StateMachine.
func (m *Machine) Reload() error {
	rec, ok, err := m.store.Get(kv.Meta, stateKey)
	if err != nil || !ok {
		return err // a learner that waits for its first snapshot has no state
	}
	s, err := Decode(rec.Value.Data)
	if err != nil {
		return err
	}
	m.working = s
	m.Committed()
	return nil
}

// Seed puts the first state of a new cluster into the batch that creates its meta replica.
func (m *Machine) Seed(s *State) func(*persist.Batch, *raftlog.Replica) {
	return func(b *persist.Batch, r *raftlog.Replica) { b.Put(r, stateKey, record(s.Encode(), 1, 0)) }
}

// Assigned implements replica.Policy.
func (m *Machine) Assigned(p kv.PartitionID, id kv.ReplicaID) bool {
	if p == kv.Meta {
		return id != 0 && uint64(id) == m.own.Load()
	}
	s := m.State()
	if s == nil {
		return false
	}
	r, ok := s.ReplicaOn(p, m.node)
	return ok && r.ID == id
}

// Issued implements replica.Policy.
func (m *Machine) Issued(id kv.ReplicaID) bool {
	s := m.State()
	return s != nil && s.Issued(id)
}

// Members implements replica.Policy.
func (m *Machine) Members() []kv.NodeID {
	s := m.State()
	if s == nil {
		return nil
	}
	ids := make([]kv.NodeID, len(s.Members))
	for i, member := range s.Members {
		ids[i] = member.ID
	}
	return ids
}

// Standing implements replica.Policy.
func (m *Machine) Standing(node kv.NodeID) replica.Standing {
	s := m.State()
	if s == nil {
		return replica.Standing{}
	}
	member, _ := s.Member(node)
	former, removed := s.RemovedMember(node)
	return replica.Standing{Starts: member.Starts, Incarnation: member.Incarnation, Removed: removed,
		Left: former.Cause == kv.CauseLeft}
}

// Nodes implements replica.Policy.
func (m *Machine) Nodes(p kv.PartitionID) []kv.NodeID {
	s := m.State()
	if s == nil {
		return nil
	}
	var row []kv.Replica
	if p == kv.Meta {
		row, _ = s.MetaReplicas()
	} else if int(p) < len(s.Placement) {
		row = s.Placement[p]
	}
	nodes := make([]kv.NodeID, len(row))
	for i, r := range row {
		nodes[i] = r.Node
	}
	return nodes
}
