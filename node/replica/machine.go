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
	Result      kv.Result
	Transaction *kv.TransactionResult // of a transaction, instead of Result
	Raw         []byte                // of the meta group
	Err         *kv.Error
}

// StateMachine turns committed payloads into effects. Apply is a pure function of the state
// and the payload: no clock, configuration, randomness or map order, or replicas diverge.
type StateMachine interface {
	// Apply executes a payload and brings ap (Revision, Hash) forward; its TimeMS is that of the
	// payload already, or a later one. When awaited it returns one Reply a command or transaction;
	// otherwise nobody here reads them, and what only they would need is not looked up. An error
	// means that this binary cannot go on: the node stops.
	Apply(a *persist.Apply, p kv.PartitionID, ap *persist.Applied, payload *Payload, awaited bool) ([]Reply, error)
	// Committed is called when the effects of all Apply calls so far can be read.
	Committed()
	// Reload is called when a snapshot replaced the partition's data.
	Reload() error
}

// KV is the state machine of one partition that holds users' keys.
type KV struct {
	// Known, when not nil, may know that the store holds a key that has no deadline. Only answers
	// depend on it, never effects.
	Known    func(p kv.PartitionID, key []byte) bool
	digest   xxhash.Digest
	deadline earliest
}

// step is one command or transaction at its place in the log: what is decided in it depends on
// nothing else.
type step struct {
	m       *KV
	a       *persist.Apply
	p       kv.PartitionID
	ap      *persist.Applied
	awaited bool
	asked   int // bytes of values that the command or transaction asked for so far
}

// Apply implements StateMachine.
func (m *KV) Apply(a *persist.Apply, p kv.PartitionID, ap *persist.Applied, payload *Payload, awaited bool) ([]Reply, error) {
	if payload.Raw != nil {
		return nil, fmt.Errorf("%w: a meta command in partition %s", ErrPayload, p)
	}
	s := step{m: m, a: a, p: p, ap: ap, awaited: awaited}
	var replies []Reply
	if awaited {
		replies = make([]Reply, 0, payload.Count)
	}
	err := payload.Units(func(c kv.Command) error {
		s.asked = 0
		res, err := s.run(&c)
		if awaited {
			replies = append(replies, Reply{Result: res})
		}
		return err
	}, func(t *kv.Transaction) error {
		res, err := s.transact(t)
		if awaited {
			replies = append(replies, Reply{Transaction: res})
		}
		return err
	})
	return replies, err
}

// Committed implements StateMachine.
func (m *KV) Committed() {}

// Reload implements StateMachine.
func (m *KV) Reload() error {
	m.deadline = earliest{}
	return nil
}

// held is what a key holds at a step; one that has expired holds nothing.
type held struct {
	persist.Record
	exists bool
}

func (s *step) get(key []byte) (held, error) {
	rec, ok, err := s.a.Get(s.p, key)
	if err != nil || !ok || kv.Expired(rec.DeadlineMS, s.ap.TimeMS) {
		return held{}, err
	}
	return held{rec, true}, nil
}

// run carries out one command.
func (s *step) run(c *kv.Command) (kv.Result, error) {
	if c.Op == kv.OpPut && c.Cond.Kind == kv.CondNone && !c.ReturnOld && c.Expiry.Kind != kv.ExpiryKeep {
		return s.putOver(c)
	}
	old, err := s.get(c.Key)
	if err != nil {
		return kv.Result{}, err
	}
	if c.Op == kv.OpRead || c.ReturnOld {
		if s.asked > maxTransactionReads {
			return kv.Result{Outcome: kv.ValueTooLarge, Version: old.Version}, nil
		}
		s.asked += len(old.Value.Data)
	}
	met, err := s.holds(c, &old)
	if err != nil {
		return kv.Result{}, err
	}
	var res kv.Result
	switch {
	case !met:
		res = kv.Result{Outcome: kv.ConditionFailed, Version: old.Version}
	case c.Op == kv.OpPut:
		res = s.put(c, &old)
	case c.Op == kv.OpDelete:
		res = s.remove(c, &old)
	case c.Op == kv.OpExpire:
		res = s.expire(c, &old)
	case c.Op == kv.OpRename:
		res, err = s.rename(c, &old)
	case c.Op == kv.OpIncr:
		res = s.add(c, &old)
	case c.Op == kv.OpIncrFloat:
		res = s.addFloat(c, &old)
	case c.Op == kv.OpAppend:
		res = s.append(c, &old)
	case c.Op == kv.OpSetRange:
		res = s.setRange(c, &old)
	case c.Op == kv.OpRead:
		res = s.read(&old)
	default:
		return res, fmt.Errorf("%w: operation %d", ErrPayload, c.Op)
	}
	if c.ReturnOld && s.awaited && old.exists {
		res.Item = new(old.Item())
	}
	return res, err
}

func (s *step) read(old *held) kv.Result {
	if !old.exists {
		return kv.Result{Outcome: kv.NotFound}
	}
	res := kv.Result{Outcome: kv.Done, Version: old.Version, Deadline: old.DeadlineMS, Item: new(old.Item())}
	if old.DeadlineMS != 0 {
		res.NowMS = s.ap.TimeMS
	}
	return res
}

// store makes a record the key's, under the next version.
func (s *step) store(key []byte, rec persist.Record) uint64 {
	s.ap.Revision++
	rec.Version = s.ap.Revision
	s.a.Put(s.p, key, rec)
	if rec.DeadlineMS != 0 {
		s.m.deadline.lower(rec.DeadlineMS)
	}
	s.m.note(s.ap, kv.OpPut, key, &rec)
	return rec.Version
}

// drop deletes a key. It takes a version too, so that those of the key's next life are larger.
func (s *step) drop(key []byte) {
	s.ap.Revision++
	s.a.Delete(s.p, key)
	s.m.note(s.ap, kv.OpDelete, key, &persist.Record{})
}

// note carries the running hash over one effect: what was written, at which version and time.
func (m *KV) note(ap *persist.Applied, op kv.Op, key []byte, rec *persist.Record) {
	var head [38]byte
	binary.LittleEndian.PutUint64(head[:], ap.Hash)
	binary.LittleEndian.PutUint64(head[8:], ap.Revision)
	binary.LittleEndian.PutUint64(head[16:], uint64(ap.TimeMS))
	binary.LittleEndian.PutUint64(head[24:], uint64(rec.DeadlineMS))
	binary.LittleEndian.PutUint32(head[32:], uint32(len(key)))
	head[36], head[37] = byte(op), byte(rec.Value.Kind)
	m.digest.Reset()
	m.digest.Write(head[:])
	m.digest.Write(key)
	m.digest.Write(rec.Value.Data)
	ap.Hash = m.digest.Sum64()
}
