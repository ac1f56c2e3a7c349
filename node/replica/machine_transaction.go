package replica

import "pxkv/node/kv"

// maxTransactionReads is how many bytes of values the commands of a transaction may ask for, by
// OpRead and ReturnOld. Those that follow are refused, so that the results fit a message. The limit
// decides what is carried out: another one takes another payloadVersion.
const maxTransactionReads = 16 << 20

// transact carries out the commands of a transaction, unless a key is not as it was watched.
func (s *step) transact(t *kv.Transaction) (*kv.TransactionResult, error) {
	res := &kv.TransactionResult{}
	s.asked = 0
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
	if s.awaited {
		res.Results = make([]kv.Result, 0, len(t.Commands))
	}
	for i := range t.Commands {
		r, err := s.run(&t.Commands[i])
		if err != nil {
			return nil, err
		}
		if s.awaited {
			res.Results = append(res.Results, r)
		}
	}
	return res, nil
}
