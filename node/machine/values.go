package machine

import (
	"math/big"
	"strconv"

	"pxkv/node/kv"
	"pxkv/persist/data"
)

// change stores a new value for a key that keeps its deadline.
func (s *step) change(key []byte, v kv.Value, old *held) kv.Result {
	rec := data.Record{Value: v, ModifiedMS: s.ap.TimeMS, DeadlineMS: old.DeadlineMS}
	return kv.Result{Outcome: kv.Done, Created: !old.exists, Version: s.store(key, rec), Deadline: rec.DeadlineMS}
}

// add adds to an integer.
func (s *step) add(c *kv.Command, old *held) kv.Result {
	v := kv.Value{Kind: kv.JSON}
	var n int64
	if old.exists {
		v = old.Value
		var ok bool
		if n, ok = kv.ParseInt(v.Data); !ok {
			return kv.Result{Outcome: kv.NotInteger, Version: old.Version}
		}
	}
	sum := n + c.Delta
	if (sum > n) != (c.Delta > 0) && c.Delta != 0 {
		return kv.Result{Outcome: kv.Overflow, Version: old.Version}
	}
	v.Data = strconv.AppendInt(nil, sum, 10)
	res := s.change(c.Key, v, old)
	res.Number = sum
	return res
}

// addFloat adds to a decimal number.
func (s *step) addFloat(c *kv.Command, old *held) kv.Result {
	v := kv.Value{Kind: kv.JSON}
	n := new(big.Float)
	if old.exists {
		v = old.Value
		var ok bool
		if n, ok = kv.ParseFloat(v.Data); !ok {
			return kv.Result{Outcome: kv.NotFloat, Version: old.Version}
		}
	}
	delta, ok := kv.ParseFloat(c.Value.Data)
	if !ok { // nodes refuse it before it is proposed
		return kv.Result{Outcome: kv.NotFloat, Version: old.Version}
	}
	sum, ok := kv.AddFloat(n, delta)
	if !ok {
		return kv.Result{Outcome: kv.NotFinite, Version: old.Version}
	}
	v.Data = sum
	res := s.change(c.Key, v, old)
	if s.awaited {
		res.Item = &kv.Item{Value: v, Version: res.Version, Modified: s.ap.TimeMS, Deadline: old.DeadlineMS}
	}
	return res
}

// appends reports whether a value stays short enough when a command appends to it.
func appends(c *kv.Command, old *held) bool {
	return int64(old.Value.Length()) <= c.MaxLength()-int64(len(c.Value.Data))
}

// append adds to the end of a value.
func (s *step) append(c *kv.Command, old *held) kv.Result {
	if !appends(c, old) {
		return kv.Result{Outcome: kv.ValueTooLarge, Version: old.Version}
	}
	data := s.owned(c.Key, old.Value.Data, len(old.Value.Data)+len(c.Value.Data))
	s.touched.bytes += int64(len(c.Value.Data))
	return s.changeBytes(c.Key, append(data, c.Value.Data...), old)
}

// setsRange reports whether what a command writes over a value lies where it may.
func setsRange(c *kv.Command) bool {
	return c.Offset >= 0 && c.Offset <= c.MaxLength()-int64(len(c.Value.Data))
}

// setRange writes over a part of a value.
func (s *step) setRange(c *kv.Command, old *held) kv.Result {
	was, part := old.Value.Data, c.Value.Data
	switch {
	case len(part) == 0:
		return kv.Result{
			Outcome: kv.Done, Version: old.Version, Number: int64(old.Value.Length()), Deadline: old.DeadlineMS,
		}
	case !setsRange(c):
		return kv.Result{Outcome: kv.ValueTooLarge, Version: old.Version}
	}
	length := max(len(was), int(c.Offset)+len(part))
	data := s.owned(c.Key, was, length)
	s.touched.bytes += int64(length - len(was) + len(part))
	data = append(data, make([]byte, length-len(was))...)
	copy(data[c.Offset:], part)
	return s.changeBytes(c.Key, data, old)
}

// changeBytes stores a value that was changed byte by byte: whatever it was before, it is
// a string or binary now.
func (s *step) changeBytes(key, value []byte, old *held) kv.Result {
	rec := data.Record{
		Value:      changed(value, old),
		ModifiedMS: s.ap.TimeMS, DeadlineMS: old.DeadlineMS,
	}
	return kv.Result{
		Outcome: kv.Done, Created: !old.exists, Version: s.keepBytes(key, rec),
		Deadline: rec.DeadlineMS, Number: int64(len(value)),
	}
}
