package machine

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/persist/data"
	"pxkv/persist/state"
)

// KV is the state machine of one partition that holds users' keys.
type KV struct {
	// Known, when not nil, may know that the store holds a key that has no deadline. Only answers
	// depend on it, never effects.
	Known func(p kv.PartitionID, key []byte) bool
	// Disturb, when not nil, may change what is stored as broken memory would, but not in place: for
	// simulations.
	Disturb  func(p kv.PartitionID, key []byte, rec *data.Record)
	digest   xxhash.Digest
	deadline earliest
}

// step is one command or transaction at its place in the log: what is decided in it depends on
// nothing else.
type step struct {
	m       *KV
	a       *data.Apply
	p       kv.PartitionID
	ap      *state.Applied
	awaited bool
	// keepsIndex: writes leave former deadlines in the expiry index.
	keepsIndex bool
	hashesAll  bool // a value is hashed each time that it changes
	touched    touched
	err        error // of a look for a former deadline
}

// Apply executes the commands of a payload and brings ap (Revision, Hash) forward; its TimeMS is that of the payload
// already, or a later one. When awaited there is one Reply a command or transaction; otherwise nobody here reads
// them, and what only they would need is not looked up.
func (m *KV) Apply(
	a *data.Apply, p kv.PartitionID, ap *state.Applied, payload *entry.Payload, awaited bool,
) (entry.Outcome, error) {
	if payload.Raw != nil {
		return entry.Outcome{}, fmt.Errorf("%w: a meta command in partition %s", entry.ErrUnreadable, p)
	}
	s := step{m: m, a: a, p: p, ap: ap, awaited: awaited, keepsIndex: payload.KeepsIndex || expiryIndexLeaks,
		hashesAll: payload.HashesAll}
	s.touched.limit = payload.TouchBytes
	var replies []entry.Reply
	if awaited {
		replies = make([]entry.Reply, 0, payload.Count)
	}
	first := true
	unit := func(do func() (entry.Reply, error)) (err error) {
		r := entry.Reply{PutOff: true}
		if first || !s.touched.enough() {
			r, err = do()
		}
		first = false
		if awaited {
			replies = append(replies, r)
		}
		return err
	}
	err := payload.Units(func(c kv.Command) error {
		return unit(func() (r entry.Reply, err error) {
			r.Result, err = s.run(&c)
			return r, err
		})
	}, func(t *kv.Transaction) error {
		return unit(func() (r entry.Reply, err error) {
			r.Transaction, err = s.transact(t)
			return r, err
		})
	})
	if err == nil {
		err = s.settle()
	}
	out := entry.Outcome{Replies: replies}
	if !touchedUncounted {
		out.Touched = s.touched.bytes
	}
	return out, err
}

// Committed does nothing: what is stored is all that a KV knows.
func (m *KV) Committed() {}

// Reload forgets what was known of the state that a snapshot has replaced.
func (m *KV) Reload() error {
	m.deadline = earliest{}
	return nil
}

// held is what a key holds at a step; one that has expired holds nothing.
type held struct {
	data.Record
	exists bool
}

func (s *step) get(key []byte) (held, error) {
	rec, ok, err := s.a.Get(s.p, key)
	if ok {
		s.meet(key, len(rec.Value.Data))
	}
	if err != nil || !ok || kv.Expired(rec.DeadlineMS, s.ap.TimeMS) {
		return held{}, err
	}
	return held{rec, true}, nil
}

// run carries out one command.
func (s *step) run(c *kv.Command) (kv.Result, error) {
	res, err := s.command(c)
	if err == nil {
		err = s.err
	}
	return res, err
}

func (s *step) command(c *kv.Command) (kv.Result, error) {
	if c.Op == kv.OpPut && c.Cond.Kind == kv.CondNone && !c.ReturnOld && c.Expiry.Kind != kv.ExpiryKeep {
		return s.putOver(c)
	}
	if c.Asks() {
		if err := s.lend(c.Key); err != nil {
			return kv.Result{}, err
		}
	}
	old, err := s.get(c.Key)
	if err != nil {
		return kv.Result{}, err
	}
	met, err := s.holds(c, &old)
	if err != nil {
		return kv.Result{}, err
	}
	plain, err := s.plain(c, &old, met)
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
		res = s.add(c, &plain)
	case c.Op == kv.OpIncrFloat:
		res = s.addFloat(c, &plain)
	case c.Op == kv.OpAppend:
		res = s.append(c, &plain)
	case c.Op == kv.OpSetRange:
		res = s.setRange(c, &plain)
	case c.Op == kv.OpRead:
		res = s.read(&plain)
	default:
		return res, fmt.Errorf("%w: operation %d", entry.ErrUnreadable, c.Op)
	}
	if res.Outcome != kv.Done && res.Version != 0 {
		res.Deadline = old.DeadlineMS // nothing changed: it is told as it is
	}
	if c.ReturnOld && s.awaited && old.exists {
		res.Item = new(plain.Item())
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
func (s *step) store(key []byte, rec data.Record) uint64 {
	s.replaced(key)
	s.write(key, &rec)
	s.m.note(s.ap, kv.OpPut, key, &rec)
	return rec.Version
}

func (s *step) write(key []byte, rec *data.Record) {
	s.forget(key, rec.DeadlineMS)
	s.ap.Revision++
	rec.Version = s.ap.Revision
	if s.m.Disturb != nil {
		wrong := *rec // a copy, so that without this no record has to be on the heap
		s.m.Disturb(s.p, key, &wrong)
		*rec = wrong
	}
	s.a.Put(s.p, key, *rec)
	if rec.DeadlineMS != 0 {
		s.m.deadline.lower(rec.DeadlineMS)
	}
}

// drop deletes a key. It takes a version too, so that those of the key's next life are larger.
func (s *step) drop(key []byte) {
	s.forget(key, 0)
	s.erase(key)
}

func (s *step) erase(key []byte) {
	s.replaced(key)
	s.ap.Revision++
	s.a.Delete(s.p, key)
	s.m.note(s.ap, kv.OpDelete, key, &data.Record{})
}

// note carries the running hash over one effect: what was written, at which version and time.
func (m *KV) note(ap *state.Applied, op kv.Op, key []byte, rec *data.Record) {
	var head [38]byte
	binary.LittleEndian.PutUint64(head[:], ap.Hash)
	binary.LittleEndian.PutUint64(head[8:], ap.Revision)
	binary.LittleEndian.PutUint64(head[16:], uint64(ap.TimeMS))
	binary.LittleEndian.PutUint64(head[24:], uint64(rec.DeadlineMS))
	binary.LittleEndian.PutUint32(head[32:], uint32(len(key)))
	head[36], head[37] = byte(op), byte(rec.Value.Kind)|byte(rec.Value.Packing)<<4
	m.digest.Reset()
	m.digest.Write(head[:])
	m.digest.Write(key)
	if rec.Value.Packing != kv.NotPacked {
		binary.LittleEndian.PutUint64(head[:], uint64(rec.Value.Plain))
		m.digest.Write(head[:8])
	}
	m.digest.Write(rec.Value.Data)
	ap.Hash = m.digest.Sum64()
}
