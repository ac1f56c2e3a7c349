package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"pxkv/node/kv"
)

// payloadVersion is the first byte of every log entry that is not empty. An entry of
// another version stops the node: skipping it would make this replica differ from others.
const payloadVersion = 4

// Older versions are read as well. A write in version 2 leaves the record of a former deadline in the
// expiry index, where it stays until that deadline. Version 3 has no TouchBytes, and a value is hashed
// each time that it changes: see machine_touched.go.
const (
	payloadLeavesIndex = 2
	payloadUnbounded   = 3
)

// payloadKind says which state machine reads the rest.
type payloadKind byte

const (
	payloadCommands payloadKind = 1 // count, then that many kv.Command
	payloadRaw      payloadKind = 2 // one opaque command of the meta group
	payloadBarrier  payloadKind = 3 // nothing: it brings the group's time forward, see also group.answerProbe
	payloadPurge    payloadKind = 4 // a cut-off and a number: see purge.go
)

// ErrPayload is the error of a log entry that this version of pxkv cannot read.
var ErrPayload = errors.New("unreadable log entry")

// Payload is the content of one log entry: everything that the proposing leader decided
// before replication, so that applying it is the same on every replica.
type Payload struct {
	// TimeMS is the leader's clock for the group, Unix milliseconds, when it proposed. The group's
	// time never runs backwards: applying takes the larger of it and the time so far.
	TimeMS int64
	// CheckIndex and CheckHash are what the leader had applied when it proposed, and the
	// running hash of its effects there: for who got elsewhere see divergence.go. 0 checks nothing.
	CheckIndex, CheckHash uint64

	Count    int        // of commands and transactions, or of the index records that a purge takes
	commands kv.Decoder // positioned at the first command
	PurgeMS  int64      // of a purge: the latest deadline that it takes; else 0
	Raw      []byte     // for the meta group, Count is 0
	Barrier  bool       // for no state machine

	// TouchBytes is how many bytes of values the entry may touch before what is left of it is put off:
	// see machine_touched.go. 0: any number.
	TouchBytes int64

	keepsIndex bool // of payloadLeavesIndex
	hashesAll  bool // of payloadUnbounded and older
}

// header appends everything before the commands.
func (p *Payload) header(b []byte, kind payloadKind) []byte {
	b = append(b, payloadVersion, byte(kind))
	b = binary.AppendVarint(b, p.TimeMS)
	b = binary.AppendUvarint(b, p.CheckIndex)
	b = binary.LittleEndian.AppendUint64(b, p.CheckHash)
	if kind == payloadCommands {
		b = binary.AppendUvarint(b, uint64(p.TouchBytes))
	}
	return b
}

// DecodePayload reads the data of a log entry; byte slices alias it.
func DecodePayload(data []byte) (Payload, error) {
	var p Payload
	d := kv.NewDecoder(data)
	v := d.Byte()
	if v < payloadLeavesIndex || v > payloadVersion {
		return p, fmt.Errorf("%w: version %d; this binary reads version %d: run the newer one", ErrPayload, v,
			payloadVersion)
	}
	p.keepsIndex, p.hashesAll = v <= payloadLeavesIndex, v <= payloadUnbounded
	kind := payloadKind(d.Byte())
	p.TimeMS = d.Varint()
	p.CheckIndex = d.Uvarint()
	var hash [8]byte
	for i := range hash {
		hash[i] = d.Byte()
	}
	p.CheckHash = binary.LittleEndian.Uint64(hash[:])
	switch kind {
	case payloadCommands:
		if v > payloadUnbounded {
			limit := d.Uvarint()
			if limit > math.MaxInt64 {
				return p, fmt.Errorf("%w: it may touch %d bytes", ErrPayload, limit)
			}
			p.TouchBytes = int64(limit)
		}
		p.Count = d.Count()
		p.commands = d
	case payloadPurge:
		p.PurgeMS = d.Varint()
		count := d.Uvarint()
		if p.PurgeMS <= 0 || count > maxPurgeKeys {
			return p, fmt.Errorf("%w: purge of %d keys up to %d", ErrPayload, count, p.PurgeMS)
		}
		p.Count = int(count)
		return p, d.End()
	case payloadRaw:
		p.Raw = d.Rest()
	case payloadBarrier:
		p.Barrier = true
		return p, d.End()
	default:
		return p, fmt.Errorf("%w: kind %d", ErrPayload, kind)
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
			return fmt.Errorf("%w: %w", ErrPayload, d.Err())
		}
		if err != nil {
			return err
		}
	}
	return nil
}
