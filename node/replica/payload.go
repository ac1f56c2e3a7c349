package replica

import (
	"encoding/binary"
	"errors"
	"fmt"

	"pxkv/node/kv"
)

// payloadVersion is the first byte of every log entry that is not empty. An entry of
// another version stops the node: skipping it would make this replica differ from others.
const payloadVersion = 1

// payloadKind says which state machine reads the rest.
type payloadKind byte

const (
	payloadCommands payloadKind = 1 // count, then that many kv.Command
	payloadRaw      payloadKind = 2 // one opaque command of the meta group
	payloadBarrier  payloadKind = 3 // nothing: see group.answerProbe
)

// ErrPayload is the error of a log entry that this version of pxkv cannot read.
var ErrPayload = errors.New("unreadable log entry")

// Payload is the content of one log entry: everything that the proposing leader decided
// before replication, so that applying it is the same on every replica.
type Payload struct {
	// TimeMS is the leader's wall clock, Unix milliseconds, when it proposed. It never runs
	// backwards within a partition: applying takes the larger of it and the group's time.
	TimeMS int64
	// CheckIndex and CheckHash are what the leader had applied when it proposed, and the
	// running hash of its effects there: a replica that got elsewhere stops. 0 checks nothing.
	CheckIndex, CheckHash uint64

	Count    int        // of commands
	commands kv.Decoder // positioned at the first command
	Raw      []byte     // for the meta group, Count is 0
	Barrier  bool       // for no state machine
}

// header appends everything before the commands.
func (p *Payload) header(b []byte, kind payloadKind) []byte {
	b = append(b, payloadVersion, byte(kind))
	b = binary.AppendVarint(b, p.TimeMS)
	b = binary.AppendUvarint(b, p.CheckIndex)
	return binary.LittleEndian.AppendUint64(b, p.CheckHash)
}

// DecodePayload reads the data of a log entry; byte slices alias it.
func DecodePayload(data []byte) (Payload, error) {
	var p Payload
	d := kv.NewDecoder(data)
	if v := d.Byte(); v != payloadVersion {
		return p, fmt.Errorf("%w: version %d; this binary reads version %d: run the newer one", ErrPayload, v, payloadVersion)
	}
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
		p.Count = d.Count()
		p.commands = d
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

// Commands calls yield for each command in order. It returns an error when the payload is
// damaged, which no leader writes: the caller stops the node.
func (p *Payload) Commands(yield func(kv.Command) error) error {
	d := p.commands
	for range p.Count {
		c := d.ReadCommand()
		if d.Err() != nil {
			return fmt.Errorf("%w: %w", ErrPayload, d.Err())
		}
		if err := yield(c); err != nil {
			return err
		}
	}
	return nil
}
