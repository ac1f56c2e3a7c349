package kv

import (
	"encoding/binary"
	"math"
	"slices"
)

// Limits of a Transaction. It is one log entry, and is applied at a stroke.
const (
	MaxTransactionCommands = 10_000   // commands and watches together
	MaxTransactionBytes    = 16 << 20 // of its encoding
)

// Watch says which version of a key a transaction relies on; 0 is that it does not exist.
type Watch struct {
	Key     []byte
	Version uint64
}

// Transaction is commands whose keys are all of one partition. They are applied together, with
// nothing in between, and after a crash all are there or none. They are so only when every
// watched key still has its version; else nothing changes. A command that ends with another
// outcome than Done does not undo the others.
type Transaction struct {
	Watches  []Watch
	Commands []Command
	// AnswerBytes is how long the values in the results may be together, content types included.
	// When they might be longer, nothing is carried out. 0 is for logs of the first version: what
	// asks for a value behind more than 16 MiB of them ends in ValueTooLarge, and the rest is
	// carried out.
	AnswerBytes int64
	// Cut makes it no transaction, but commands that happen to be in one entry: they are carried
	// out in order as far as AnswerBytes and the bytes that an entry may touch allow, and the results
	// end there. AnswerBytes is not 0.
	Cut bool
}

// TransactionResult is what became of a Transaction that was committed.
type TransactionResult struct {
	Conflict bool     // a watched key has another version: nothing changed
	TooLarge bool     // the values might have been longer than AnswerBytes, or see Touches: nothing changed
	Touches  bool     // with TooLarge: it might have read and written too many bytes of values
	Results  []Result // one a command, in order; none after Conflict and TooLarge, fewer after a Cut
	Receipt  Receipt
}

// Answer is what became of one operation of a batch: Err, or Result when it is nil.
type Answer struct {
	Result Result
	Err    *Error
	// Later says that the operation was refused only because the values before it are long enough
	// for one answer; what is behind it on its key is refused as well. Asked for alone it fits.
	Later bool
}

// AppendTo appends the encoding of t.
func (t *Transaction) AppendTo(b []byte) []byte {
	if t.AnswerBytes == 0 {
		b = append(b, opTransaction)
	} else {
		var flags byte
		if t.Cut {
			flags |= flagCut
		}
		b = append(b, opBounded, flags)
		b = binary.AppendUvarint(b, uint64(t.AnswerBytes))
	}
	b = binary.AppendUvarint(b, uint64(len(t.Watches)))
	for i := range t.Watches {
		b = AppendBytes(b, t.Watches[i].Key)
		b = binary.AppendUvarint(b, t.Watches[i].Version)
	}
	b = binary.AppendUvarint(b, uint64(len(t.Commands)))
	for i := range t.Commands {
		b = t.Commands[i].AppendTo(b)
	}
	return b
}

// EncodedSize is an upper bound for the length of AppendTo's result.
func (t *Transaction) EncodedSize() int {
	n := 2 + 3*binary.MaxVarintLen64
	for i := range t.Watches {
		n += len(t.Watches[i].Key) + 2*binary.MaxVarintLen64
	}
	for i := range t.Commands {
		n += t.Commands[i].EncodedSize()
	}
	return n
}

// PlainSize is EncodedSize with all values unpacked: what limits are about.
func (t *Transaction) PlainSize() int {
	n := t.EncodedSize()
	for i := range t.Commands {
		n += t.Commands[i].PlainSize() - t.Commands[i].EncodedSize()
	}
	return n
}

// Packs reports whether it brings packed values.
func (t *Transaction) Packs() bool {
	return slices.ContainsFunc(t.Commands, func(c Command) bool { return c.Value.Packing != NotPacked })
}

// These stand where a command has its Op.
const (
	opTransaction = 0x7f // without AnswerBytes
	opBounded     = 0x7e // flags and AnswerBytes follow
)

// flagCut is a flag of a bounded transaction.
const flagCut = 1 << 0

// IsTransaction reports whether the next in the input is a Transaction rather than a Command.
func (d *Decoder) IsTransaction() bool {
	return len(d.b) > 0 && (d.b[0] == opTransaction || d.b[0] == opBounded)
}

// ReadTransaction reads a Transaction, whose byte slices alias the input. The result is well
// formed but not validated: see Validate.
func (d *Decoder) ReadTransaction() (t Transaction) {
	switch d.Byte() {
	case opTransaction:
	case opBounded:
		flags, limit := d.Byte(), d.Uvarint()
		if flags&^flagCut != 0 || limit == 0 || limit > math.MaxInt64 {
			d.fail()
			return t
		}
		t.Cut, t.AnswerBytes = flags&flagCut != 0, int64(limit)
	default:
		d.fail()
		return t
	}
	n := d.Count()
	if n > MaxTransactionCommands {
		d.fail()
		return t
	}
	for range n {
		t.Watches = append(t.Watches, Watch{Key: d.Bytes(), Version: d.Uvarint()})
	}
	if n = d.Count(); n > MaxTransactionCommands {
		d.fail()
		return t
	}
	if n > 0 {
		t.Commands = make([]Command, 0, n)
	}
	for range n {
		t.Commands = append(t.Commands, d.ReadCommand())
	}
	if d.err != nil {
		return Transaction{}
	}
	return t
}

// AppendTo appends the encoding of r.
func (r *TransactionResult) AppendTo(b []byte) []byte {
	var flags byte
	if r.Conflict {
		flags |= flagConflict
	}
	if r.TooLarge {
		flags |= flagTooLarge
	}
	if r.Touches {
		flags |= flagTouches
	}
	b = appendReceipt(append(b, flags), &r.Receipt)
	b = binary.AppendUvarint(b, uint64(len(r.Results)))
	for i := range r.Results {
		b = r.Results[i].AppendTo(b)
	}
	return b
}

// ReadTransactionResult reads a TransactionResult, whose byte slices alias the input.
func (d *Decoder) ReadTransactionResult() (r TransactionResult) {
	flags := d.Byte()
	r.Conflict, r.TooLarge, r.Touches = flags&flagConflict != 0, flags&flagTooLarge != 0, flags&flagTouches != 0
	r.Receipt = d.readReceipt()
	n := d.Count()
	if n > MaxTransactionCommands {
		d.fail()
		return TransactionResult{}
	}
	if n > 0 {
		r.Results = make([]Result, 0, n)
	}
	for range n {
		r.Results = append(r.Results, d.ReadResult())
	}
	if d.err != nil {
		return TransactionResult{}
	}
	return r
}

// Validate checks every command and the limits. That all keys are of one partition is for
// those to check who know the cluster.
func (t *Transaction) Validate(maxValue int) error {
	if len(t.Watches)+len(t.Commands) > MaxTransactionCommands {
		return Errorf(TooLarge, "Transaction of %d commands and watches is over the limit of %d",
			len(t.Watches)+len(t.Commands), MaxTransactionCommands)
	}
	for i := range t.Watches {
		if err := ValidateKey(t.Watches[i].Key); err != nil {
			return err
		}
	}
	for i := range t.Commands {
		if err := t.Commands[i].Validate(maxValue); err != nil {
			return err
		}
	}
	if n := t.PlainSize(); n > MaxTransactionBytes {
		return Errorf(TooLarge, "Transaction of %d bytes is over the limit of %d bytes", n, MaxTransactionBytes)
	}
	return nil
}

// Keys calls yield for every key that the transaction names, until it returns false.
func (t *Transaction) Keys(yield func([]byte) bool) {
	for i := range t.Watches {
		if !yield(t.Watches[i].Key) {
			return
		}
	}
	for i := range t.Commands {
		c := &t.Commands[i]
		if !yield(c.Key) || c.Op == OpRename && !yield(c.NewKey) {
			return
		}
	}
}
