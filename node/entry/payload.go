package entry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"pxkv/node/kv"
)

// version is the first byte of every log entry that is not empty. An entry of
// another version stops the node: skipping it would make this replica differ from others.
const version = 4

// packing is the version of entries with packed values, and of no others: who has none in it is read by a pxkv that
// knows no packing, which refuses this one by its number.
const packing = 5

// Older versions are read as well. What they mean otherwise is in Payload.KeepsIndex and HashesAll; version 3
// has no TouchBytes.
const (
	leavesIndex = 2
	unbounded   = 3
)

// Format is that of log entries, as a node tells of it that packs values, or none.
func Format(packs bool) kv.Format {
	f := kv.Format{Name: "log entries", Writes: version, Oldest: leavesIndex, Newest: packing}
	if packs {
		f.Writes = packing
	}
	return f
}

// kind says what the rest is.
type kind byte

const (
	commands kind = 1 // count, then that many commands and transactions
	raw      kind = 2 // one opaque command of the meta group
	barrier  kind = 3 // nothing: it brings the group's time forward
	purge    kind = 4 // a cut-off and a number
)

// MaxPurgeKeys is how many records of the expiry index a purge may ask for; leaders of all versions stay below
// it.
const MaxPurgeKeys = 1 << 16

// ErrUnreadable is the error of a log entry that this version of pxkv cannot read, or that is not for its state
// machine.
var ErrUnreadable = errors.New("unreadable log entry")

// Payload is the content of one log entry: everything that the proposing leader decided
// before replication, so that applying it is the same on every replica. With Raw, PurgeMS and Barrier unset it
// has commands.
type Payload struct {
	// TimeMS is the leader's clock for the group, Unix milliseconds, when it proposed. The group's
	// time never runs backwards: applying takes the larger of it and the time so far.
	TimeMS int64
	// CheckIndex and CheckHash are what the leader had applied when it proposed, and the
	// running hash of its effects there. 0 checks nothing.
	CheckIndex, CheckHash uint64

	Count   int    // of commands and transactions, or of the index records that a purge takes
	PurgeMS int64  // of a purge: the latest deadline that it takes; else 0
	Raw     []byte // for the meta group, Count is 0
	Barrier bool   // for no state machine

	// TouchBytes is how many bytes of stored values the commands may touch before what is left of them is put
	// off. 0: any number.
	TouchBytes int64

	// Packs says that there are packed values in the commands.
	Packs bool

	// KeepsIndex is set in entries of version 2: a write leaves the record of the key's former deadline in the
	// expiry index, where it stays until that deadline.
	KeepsIndex bool
	// HashesAll is set in entries of version 3 and older: a value is hashed each time that it changes, and not
	// once an entry.
	HashesAll bool

	commands kv.Decoder // positioned at the first command
}

// AppendTo appends the entry. Commands and transactions follow it, encoded, Count of them.
func (p *Payload) AppendTo(b []byte) []byte {
	k := commands
	switch {
	case p.Raw != nil:
		k = raw
	case p.PurgeMS != 0:
		k = purge
	case p.Barrier:
		k = barrier
	}
	v := byte(version)
	if p.Packs {
		v = packing
	}
	b = append(b, v, byte(k))
	b = binary.AppendVarint(b, p.TimeMS)
	b = binary.AppendUvarint(b, p.CheckIndex)
	b = binary.LittleEndian.AppendUint64(b, p.CheckHash)
	switch k {
	case raw:
		b = append(b, p.Raw...)
	case purge:
		b = binary.AppendVarint(b, p.PurgeMS)
		b = binary.AppendUvarint(b, uint64(p.Count))
	case commands:
		b = binary.AppendUvarint(b, uint64(p.TouchBytes))
		b = binary.AppendUvarint(b, uint64(p.Count))
	}
	return b
}

// Decode reads the data of a log entry; byte slices alias it.
func Decode(data []byte) (Payload, error) {
	var p Payload
	d := kv.NewDecoder(data)
	v := d.Byte()
	if v < leavesIndex || v > packing {
		return p, fmt.Errorf("%w: version %d; this binary reads version %d: run the newer one", ErrUnreadable, v,
			packing)
	}
	p.KeepsIndex, p.HashesAll, p.Packs = v <= leavesIndex, v <= unbounded, v == packing
	k := kind(d.Byte())
	p.TimeMS = d.Varint()
	p.CheckIndex = d.Uvarint()
	var hash [8]byte
	for i := range hash {
		hash[i] = d.Byte()
	}
	p.CheckHash = binary.LittleEndian.Uint64(hash[:])
	switch k {
	case commands:
		if v > unbounded {
			limit := d.Uvarint()
			if limit > math.MaxInt64 {
				return p, fmt.Errorf("%w: it may touch %d bytes", ErrUnreadable, limit)
			}
			p.TouchBytes = int64(limit)
		}
		p.Count = d.Count()
		p.commands = d
	case purge:
		p.PurgeMS = d.Varint()
		count := d.Uvarint()
		if p.PurgeMS <= 0 || count > MaxPurgeKeys {
			return p, fmt.Errorf("%w: purge of %d keys up to %d", ErrUnreadable, count, p.PurgeMS)
		}
		p.Count = int(count)
		return p, d.End()
	case raw:
		p.Raw = d.Rest()
	case barrier:
		p.Barrier = true
		return p, d.End()
	default:
		return p, fmt.Errorf("%w: kind %d", ErrUnreadable, k)
	}
	return p, d.Err()
}

// Units calls command or transaction for each of them in order. It returns an error when the payload is damaged, which
// no leader writes: the caller stops the node.
func (p *Payload) Units(command func(kv.Command) error, transaction func(*kv.Transaction) error) error {
	d := p.commands
	for range p.Count {
		var err error
		if d.IsTransaction() {
			t := d.ReadTransaction()
			if d.Err() == nil {
				err = transaction(&t)
			}
		} else {
			c := d.ReadCommand()
			if d.Err() == nil {
				err = command(c)
			}
		}
		if d.Err() != nil {
			return fmt.Errorf("%w: %w", ErrUnreadable, d.Err())
		}
		if err != nil {
			return err
		}
	}
	return nil
}
