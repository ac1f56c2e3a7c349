package machine

import "pxkv/node/kv"

// maxTransactionReads is for transactions that do not say what their answer may hold: how many
// bytes of values their commands may ask for, by OpRead and ReturnOld. Those that follow are
// refused. The limit decides what is carried out: another one takes another version of entries.
const maxTransactionReads = 16 << 20

// transact carries out the commands of a transaction, unless a key is not as it was watched, or
// what they ask for might be too long for the answer: after a change nobody can say any more that
// it was not made.
func (s *step) transact(t *kv.Transaction) (*kv.TransactionResult, error) {
	res := &kv.TransactionResult{}
	for i := range t.Watches {
		now, err := s.get(t.Watches[i].Key)
		if err != nil {
			return nil, err
		}
		if now.Version != t.Watches[i].Version {
			res.Conflict = true
			return res, nil
		}
	}
	if s.touched.limit != 0 && !t.Cut {
		most, err := s.mayTouch(t)
		if err != nil {
			return nil, err
		}
		if most > s.touched.limit*transactionTouches {
			res.TooLarge, res.Touches = true, true
			return res, nil
		}
	}
	if t.AnswerBytes != 0 && !t.Cut {
		longest, err := s.longestAnswer(t)
		if err != nil {
			return nil, err
		}
		if longest > t.AnswerBytes {
			res.TooLarge = true
			return res, nil
		}
	}
	if s.awaited {
		res.Results = make([]kv.Result, 0, len(t.Commands))
	}
	asked := int64(0)
	for i := range t.Commands {
		if t.Cut && i > 0 && s.touched.enough() {
			return res, nil
		}
		c := &t.Commands[i]
		r := kv.Result{}
		if c.Asks() && (t.AnswerBytes == 0 || t.Cut) {
			old, err := s.get(c.Key)
			switch {
			case err != nil:
				return nil, err
			case t.Cut:
				if asked += answerBytes(c, size(&old)); asked > t.AnswerBytes {
					return res, nil
				}
			case c.Op == kv.OpIncrFloat && !c.ReturnOld:
			case asked > maxTransactionReads:
				r = kv.Result{Outcome: kv.ValueTooLarge, Version: old.Version, Deadline: old.DeadlineMS}
			default:
				asked += int64(old.Value.Length())
			}
		}
		if r.Outcome == 0 {
			var err error
			if r, err = s.run(c); err != nil {
				return nil, err
			}
		}
		if s.awaited {
			res.Results = append(res.Results, r)
		}
	}
	return res, nil
}

// size is how long a key's value is in an answer.
func size(h *held) int64 { return int64(h.Value.Length() + len(h.Value.ContentType)) }

// answerBytes is how long the value in a command's result is at most, when that of its key has a
// size now.
func answerBytes(c *kv.Command, now int64) int64 {
	switch {
	case c.Op == kv.OpIncrFloat:
		return max(now, kv.MaxFloatBytes+kv.MaxContentTypeBytes)
	case c.Asks():
		return now
	}
	return 0
}

// longestAnswer is how long the values in a transaction's results are together at most, whichever
// of its conditions are met.
func (s *step) longestAnswer(t *kv.Transaction) (sum int64, err error) {
	asks := false
	for i := range t.Commands {
		asks = asks || t.Commands[i].Asks()
	}
	if !asks {
		return 0, nil
	}
	sizes := map[string]int64{} // at most, of the keys met so far
	of := func(key []byte) int64 {
		if n, ok := sizes[string(key)]; ok {
			return n
		}
		h, e := s.get(key)
		if e != nil {
			err = e
		}
		sizes[string(key)] = size(&h)
		return sizes[string(key)]
	}
	for i := range t.Commands {
		c := &t.Commands[i]
		before := of(c.Key)
		sum += answerBytes(c, before)
		if c.Op == kv.OpRename {
			sizes[string(c.NewKey)] = max(of(c.NewKey), before)
		}
		sizes[string(c.Key)] = sizeAfter(c, before)
		if err != nil {
			return 0, err
		}
	}
	return sum, nil
}

// sizeAfter is how long the value of a command's key is at most behind the command, whether its
// condition is met or not.
func sizeAfter(c *kv.Command, before int64) int64 {
	after := before
	switch c.Op {
	case kv.OpPut:
		after = int64(c.Value.Length() + len(c.Value.ContentType))
	case kv.OpDelete:
		after = 0
	case kv.OpIncr:
		after = before + 20 // digits and sign, and the content type stays
	case kv.OpIncrFloat:
		after = before + kv.MaxFloatBytes
	case kv.OpAppend:
		after = before + int64(len(c.Value.Data))
	case kv.OpSetRange:
		after = max(before, c.Offset+int64(len(c.Value.Data))+kv.MaxContentTypeBytes)
	}
	if c.Cond.Kind != kv.CondNone {
		after = max(after, before)
	}
	return after
}
