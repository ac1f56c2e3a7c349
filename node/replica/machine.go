package replica

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"pxkv/node/kv"
	"pxkv/persist"
)

// Reply ends an Op: a result of the state machine, or an error that says whether the
// command may yet be applied.
type Reply struct {
	Result kv.Result
	Raw    []byte // of the meta group
	Err    *kv.Error
}

// StateMachine turns committed payloads into effects. Apply is a pure function of the state
// and the payload: no clock, configuration, randomness or map order, or replicas diverge.
type StateMachine interface {
	// Apply executes a payload and brings ap (Revision, TimeMS, Hash) forward. When awaited it
	// returns one Reply a command; otherwise nobody here reads them, and what only they would
	// need is not looked up. An error means that this binary cannot go on: the node stops.
	Apply(a *persist.Apply, p kv.PartitionID, ap *persist.Applied, payload *Payload, awaited bool) ([]Reply, error)
	// Committed is called when the effects of all Apply calls so far can be read.
	Committed()
	// Reload is called when a snapshot replaced the partition's data.
	Reload() error
}

// KV is the state machine of the partitions that hold users' keys.
type KV struct {
	// Known, when not nil, may know that the store holds a key. Only answers depend on it,
	// never effects.
	Known  func(p kv.PartitionID, key []byte) bool
	digest xxhash.Digest
}

// Apply implements StateMachine.
func (m *KV) Apply(a *persist.Apply, p kv.PartitionID, ap *persist.Applied, payload *Payload, awaited bool) ([]Reply, error) {
	if payload.Raw != nil {
		return nil, fmt.Errorf("%w: a meta command in partition %s", ErrPayload, p)
	}
	ap.TimeMS = max(ap.TimeMS, payload.TimeMS)
	var replies []Reply
	if awaited {
		replies = make([]Reply, 0, payload.Count)
	}
	err := payload.Commands(func(c kv.Command) error {
		// Whether an unconditional put made its key changes nothing but the answer.
		c.Blind = c.Blind || !awaited
		res, err := m.apply(a, p, ap, &c)
		if awaited {
			replies = append(replies, Reply{Result: res})
		}
		return err
	})
	return replies, err
}

// Committed implements StateMachine.
func (m *KV) Committed() {}

// Reload implements StateMachine.
func (m *KV) Reload() error { return nil }

func (m *KV) apply(a *persist.Apply, p kv.PartitionID, ap *persist.Applied, c *kv.Command) (kv.Result, error) {
	var old persist.Record
	var exists bool
	var err error
	switch {
	case c.Op == kv.OpDelete || c.Cond.Kind != kv.CondNone:
		old, exists, err = a.Get(p, c.Key)
	case !c.Blind:
		exists, err = a.Exists(p, c.Key, m.Known)
	}
	if err != nil {
		return kv.Result{}, err
	}
	if !holds(c.Cond, old.Version, exists) {
		return kv.Result{Outcome: kv.ConditionFailed, Version: old.Version}, nil
	}
	if c.Op == kv.OpDelete {
		if !exists {
			return kv.Result{Outcome: kv.NotFound}, nil
		}
		// A delete takes a version too, so that the versions of the key's next life are larger.
		ap.Revision++
		a.Delete(p, c.Key)
		m.note(ap, c)
		return kv.Result{Outcome: kv.Done}, nil
	}
	ap.Revision++
	a.Put(p, c.Key, persist.Record{Value: c.Value, Version: ap.Revision, ModifiedMS: ap.TimeMS})
	m.note(ap, c)
	return kv.Result{Outcome: kv.Done, Created: !c.Blind && !exists, Version: ap.Revision}, nil
}

func holds(cond kv.Condition, version uint64, exists bool) bool {
	switch cond.Kind {
	case kv.CondVersion:
		return exists && version == cond.Version
	case kv.CondAbsent:
		return !exists
	case kv.CondPresent:
		return exists
	}
	return true
}

// note carries the running hash over one effect: what was written, at which version.
func (m *KV) note(ap *persist.Applied, c *kv.Command) {
	var head [17]byte
	binary.LittleEndian.PutUint64(head[:], ap.Hash)
	binary.LittleEndian.PutUint64(head[8:], ap.Revision)
	head[16] = byte(c.Op)
	m.digest.Reset()
	m.digest.Write(head[:])
	m.digest.Write(c.Key)
	if c.Op == kv.OpPut {
		m.digest.Write([]byte{byte(c.Value.Kind)})
		m.digest.Write(c.Value.Data)
	}
	ap.Hash = m.digest.Sum64()
}
