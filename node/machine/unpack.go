package machine

import "pxkv/node/kv"

// A put may bring a value packed, and it is stored so. What commands look at, change or return is unpacked here, and
// what they make of it is not packed again: what an encoder makes is not the same for ever. A long value is unpacked
// once in an entry, and counted with its plain length, as if it had been read once more: on every replica, also
// where nobody waits for what it would be unpacked for.

// plain is what a key holds, unpacked if the command is going to look at its data. met: its condition is.
func (s *step) plain(c *kv.Command, old *held, met bool) (held, error) {
	switch {
	case old.Value.Packing == kv.NotPacked:
		return *old, nil
	case met && looks(c, old):
		return s.unpacked(c.Key, old)
	case c.Asks() && s.awaited:
		return s.unpacked(c.Key, old)
	case c.Asks():
		s.countUnpacked(c.Key, old)
	}
	return *old, nil
}

// looks reports whether a command, once its condition is met, depends on the data that its key holds.
func looks(c *kv.Command, old *held) bool {
	switch c.Op {
	case kv.OpIncr, kv.OpIncrFloat:
		return true
	case kv.OpAppend:
		return appends(c, old) && !appendToPacked
	case kv.OpSetRange:
		return len(c.Value.Data) > 0 && setsRange(c)
	}
	return false
}

// holdsValue reports whether a key holds just the value of a condition.
func (s *step) holdsValue(c *kv.Command, old *held) (bool, error) {
	if !old.exists || old.Value.Length() != len(c.Cond.Value) {
		return false, nil
	}
	plain, err := s.unpacked(c.Key, old)
	return string(plain.Value.Data) == string(c.Cond.Value), err
}

// unpacked returns what a key holds with its value unpacked. Its data must not be changed.
func (s *step) unpacked(key []byte, old *held) (held, error) {
	if old.Value.Packing == kv.NotPacked {
		return *old, nil
	}
	l := s.countUnpacked(key, old)
	if l.plain == nil {
		var err error
		if l.plain, err = s.a.Unpack(s.p, key, &old.Value); err != nil {
			return held{}, err
		}
	}
	plain := *old
	plain.Value = kv.Value{Kind: old.Value.Kind, ContentType: old.Value.ContentType, Data: l.plain}
	return plain, nil
}

// countUnpacked counts that a value is unpacked, once in an entry.
func (s *step) countUnpacked(key []byte, old *held) *long {
	l := s.know(key)
	if !l.unpacks {
		l.unpacks = true
		s.touched.bytes += int64(old.Value.Length())
	}
	return l
}

// changed is the value that a command has made of another one, byte by byte. A build with a planted bug has not
// unpacked that one.
func changed(value []byte, old *held) kv.Value {
	v := kv.Value{ContentType: old.Value.ContentType, Data: value}
	if appendToPacked && old.Value.Packing != kv.NotPacked {
		v.Packing, v.Plain = old.Value.Packing, old.Value.Plain+len(value)-len(old.Value.Data)
	}
	return v
}
