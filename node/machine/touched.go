package machine

import (
	"unicode/utf8"

	"pxkv/node/kv"
	"pxkv/persist/data"
)

// A small entry can make a lot of work: one of a few kilobytes may append to hundreds of values, each
// of megabytes. All that every group of a node does waits for it, on every replica. So the bytes of
// values that an entry touches are counted, and when they are enough what is left of the entry is put
// off: the commands of a batch come in another entry, as do those of others that were merged into this
// one. A transaction is whole: one that might touch far too much is refused before it changes anything.
//
// All of that decides what is carried out, so it depends on nothing but the entry and the state
// before it: not on what is in a cache, or was applied in the same turn.
//
// A long value is touched as a whole once in an entry: it is read, copied when its bytes change,
// and looked through at the end of the entry, which hashes it and says whether it is a string.
// However often it is changed between, by APPEND, SETRANGE, EXPIRE or RENAME, that costs no more than
// what the command brings.

const (
	// longValue is from what length on a value is long. Shorter ones cost less than to know them again.
	// It decides what is hashed: another one takes another version of entries.
	longValue = 256
	// transactionTouches is how many times as much as other entries a transaction may touch: it cannot
	// be continued in another one. It takes another version of entries, too.
	transactionTouches = 4
)

// touched is what an entry has read and written so far.
type touched struct {
	bytes   int64 // of values
	limit   int64 // Payload.TouchBytes
	long    map[string]*long
	changed []*long // in the order of their first change
}

// long is a key whose long value this entry has met.
type long struct {
	key string
	// own says that the value is in memory that this entry has allotted and nobody else knows.
	own bool
	// plain is the value unpacked, which must not be changed; nil when it is not packed, or nobody looked at it yet.
	// unpacks says that this is counted.
	plain   []byte
	unpacks bool
	// noted says that the value is to be hashed at the end of the entry, and bytes that its kind is
	// to be found out.
	noted, bytes bool
}

// enough reports whether the rest of the entry is put off.
func (t *touched) enough() bool { return t.limit != 0 && t.bytes >= t.limit }

// meet counts the value that a key was found to hold.
func (s *step) meet(key []byte, length int) {
	if touchedWhereAwaited && !s.awaited {
		return
	}
	if length >= longValue {
		if s.touched.long[string(key)] != nil {
			return
		}
		s.know(key)
	}
	s.touched.bytes += int64(length)
}

func (s *step) know(key []byte) *long {
	l := s.touched.long[string(key)]
	if l == nil {
		if s.touched.long == nil {
			s.touched.long = map[string]*long{}
		}
		l = &long{key: string(key)}
		s.touched.long[l.key] = l
	}
	return l
}

// owned returns data in memory that may be changed and has, or will get, room for length bytes.
func (s *step) owned(key, data []byte, length int) []byte {
	if l := s.touched.long[string(key)]; l != nil && l.own {
		return data
	}
	s.touched.bytes += int64(len(data))
	return append(make([]byte, 0, length), data...)
}

// keep is store for a value that comes from the state.
func (s *step) keep(key []byte, rec data.Record) uint64 {
	if s.hashesAll || len(rec.Value.Data) < longValue {
		s.touched.bytes += int64(len(rec.Value.Data))
		return s.store(key, rec)
	}
	l := s.know(key)
	if !l.noted {
		l.noted = true
		s.touched.changed = append(s.touched.changed, l)
		s.touched.bytes += int64(len(rec.Value.Data))
	}
	s.write(key, &rec)
	now := rec
	now.Value.Data = nil
	s.m.note(s.ap, kv.OpExpire, key, &now) // and the value at the end
	return rec.Version
}

// keepBytes is keep for a value in owned memory, of which bytes have changed.
func (s *step) keepBytes(key []byte, rec data.Record) uint64 {
	if s.hashesAll || len(rec.Value.Data) < longValue {
		rec.Value.Kind = kindOf(rec.Value.Data)
		return s.keep(key, rec)
	}
	rec.Value.Kind = kv.Binary // until it is known
	version := s.keep(key, rec)
	l := s.know(key)
	l.own, l.bytes, l.plain = true, true, nil
	return version
}

func kindOf(data []byte) kv.Kind {
	if utf8.Valid(data) {
		return kv.String
	}
	return kv.Binary
}

// replaced forgets what is known of a key's value, which is another one now, or none.
func (s *step) replaced(key []byte) {
	if l := s.touched.long[string(key)]; l != nil {
		l.noted = false
		delete(s.touched.long, l.key)
	}
}

// moved says that a value has another key.
func (s *step) moved(from, to []byte) {
	s.replaced(to)
	if l := s.touched.long[string(from)]; l != nil {
		delete(s.touched.long, l.key)
		l.key = string(to)
		s.touched.long[l.key] = l
	}
}

// lend prepares a value for the result of a command, where it must stay as it is.
func (s *step) lend(key []byte) error {
	l := s.touched.long[string(key)]
	if l == nil {
		return nil
	}
	l.own = false
	if !l.bytes {
		return nil
	}
	rec, err := s.retype(l)
	s.touched.bytes += int64(len(rec.Value.Data))
	return err
}

// retype finds out of what kind a value is whose bytes were changed.
func (s *step) retype(l *long) (data.Record, error) {
	key := []byte(l.key)
	rec, _, err := s.a.Get(s.p, key)
	if l.bytes && err == nil {
		rec.Value.Kind = kindOf(rec.Value.Data)
		s.a.SetKind(s.p, key, rec.Value.Kind)
		l.bytes = false
	}
	return rec, err
}

// settle ends the entry: long values that were changed are looked through.
func (s *step) settle() error {
	for _, l := range s.touched.changed {
		if !l.noted {
			continue
		}
		rec, err := s.retype(l)
		if err != nil {
			return err
		}
		s.m.note(s.ap, kv.OpPut, []byte(l.key), &rec)
	}
	return nil
}

// mayTouch is how many bytes of values a transaction touches at most, whichever of its conditions are
// met. It looks no further when they are too many.
func (s *step) mayTouch(t *kv.Transaction) (sum int64, err error) {
	sizes := map[string]int64{} // at most, of the keys met so far
	kept := map[string]int64{}  // the longest that a key has when it is changed
	packs := map[string]bool{}  // may hold a packed value
	of := func(key []byte) int64 {
		n, ok := sizes[string(key)]
		if !ok && err == nil {
			var h held
			h, err = s.get(key)
			n = size(&h)
			sizes[string(key)] = n
			sum += n
			packs[string(key)] = packs[string(key)] || h.Value.Packing != kv.NotPacked
		}
		return n
	}
	change := func(key []byte, n int64) {
		if was := kept[string(key)]; n > was {
			kept[string(key)] = n
			sum += 2 * (n - was) // copied, and looked through
		}
	}
	for i := range t.Commands {
		c := &t.Commands[i]
		if c.Op == kv.OpPut && c.Cond.Kind == kv.CondNone && !c.ReturnOld && c.Expiry.Kind != kv.ExpiryKeep {
			sizes[string(c.Key)] = sizeAfter(c, 0)
			packs[string(c.Key)] = c.Value.Packing != kv.NotPacked
			continue
		}
		before := of(c.Key)
		after := sizeAfter(c, before)
		if packs[string(c.Key)] {
			sum += before // unpacked
		}
		packs[string(c.Key)] = packs[string(c.Key)] || c.Value.Packing != kv.NotPacked
		switch c.Op {
		case kv.OpAppend, kv.OpSetRange:
			change(c.Key, after)
			sum += int64(len(c.Value.Data))
		case kv.OpExpire:
			change(c.Key, after)
		case kv.OpRename:
			of(c.NewKey)
			packs[string(c.NewKey)] = packs[string(c.NewKey)] || packs[string(c.Key)]
			sizes[string(c.NewKey)] = max(sizes[string(c.NewKey)], before)
			change(c.NewKey, before)
		}
		if c.Asks() {
			sum += 2 * before // looked through, and copied when it changes again
		}
		sum += min(before, longValue)
		sizes[string(c.Key)] = after
		if err != nil || sum > s.touched.limit*transactionTouches {
			return sum, err
		}
	}
	return sum, nil
}
