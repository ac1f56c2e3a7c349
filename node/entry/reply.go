package entry

import "pxkv/node/kv"

// Reply ends a command, a transaction, or another request that made an entry: a result of the state machine,
// or an error that says whether it may yet be applied.
type Reply struct {
	Result      kv.Result
	Transaction *kv.TransactionResult // of a transaction, instead of Result
	// PutOff says that nothing was done, since what comes before it in its entry touched enough. The
	// group proposes it again: who waits never sees it.
	PutOff bool
	Raw    []byte // of the meta group
	Err    *kv.Error
}

// Outcome is what applying an entry gives besides its effects.
type Outcome struct {
	Replies []Reply // one a command or transaction, where somebody awaits them
	Touched int64   // bytes of stored values that were read and written
}
