package kv

import (
	"encoding/binary"
	"fmt"
)

// The encodings in this file travel in log entries and between nodes. They carry no version
// of their own: the envelope around them (log payload, forwarded request) does.

// Flags of a Command.
const (
	flagBlind     = 1 << 0
	flagReturnOld = 1 << 1
	flagExpiry    = 1 << 2
	commandFlags  = flagBlind | flagReturnOld | flagExpiry
)

// Flags of results.
const (
	flagCreated  = 1 << 0
	flagNumber   = 1 << 1
	flagDeadline = 1 << 2
	flagItem     = 1 << 3
	flagNow      = 1 << 4

	flagFound    = 1 << 0
	flagReadNow  = 1 << 1
	flagConflict = 1 << 0
	flagTooLarge = 1 << 1
	flagTouches  = 1 << 2
)

// AppendTo appends the encoding of c.
func (c *Command) AppendTo(b []byte) []byte {
	var flags byte
	if c.Blind {
		flags |= flagBlind
	}
	if c.ReturnOld {
		flags |= flagReturnOld
	}
	if c.Expiry.Kind != ExpiryNone {
		flags |= flagExpiry
	}
	b = append(b, byte(c.Op), flags, byte(c.Cond.Kind))
	switch c.Cond.Kind {
	case CondVersion:
		b = binary.AppendUvarint(b, c.Cond.Version)
	case CondValue:
		b = AppendBytes(b, c.Cond.Value)
	}
	if flags&flagExpiry != 0 {
		b = append(b, byte(c.Expiry.Kind))
		if c.Expiry.Kind >= ExpiryIn {
			b = binary.AppendVarint(b, c.Expiry.MS)
		}
	}
	b = AppendBytes(b, c.Key)
	switch c.Op {
	case OpPut:
		b = appendPutValue(b, &c.Value)
	case OpIncr:
		b = binary.AppendVarint(b, c.Delta)
	case OpIncrFloat:
		b = AppendBytes(b, c.Value.Data)
	case OpAppend:
		b = AppendBytes(binary.AppendVarint(b, c.Limit), c.Value.Data)
	case OpSetRange:
		b = AppendBytes(binary.AppendVarint(binary.AppendVarint(b, c.Limit), c.Offset), c.Value.Data)
	case OpRename:
		b = AppendBytes(b, c.NewKey)
	}
	return b
}

// ReadCommand reads a Command; its byte slices alias the decoder's input. The result is
// well formed but not validated against limits: see Validate.
func (d *Decoder) ReadCommand() (c Command) {
	c.Op = Op(d.Byte())
	flags := d.Byte()
	c.Blind, c.ReturnOld = flags&flagBlind != 0, flags&flagReturnOld != 0
	c.Cond.Kind = CondKind(d.Byte())
	switch c.Cond.Kind {
	case CondVersion:
		c.Cond.Version = d.Uvarint()
	case CondValue:
		c.Cond.Value = d.Bytes()
	}
	if flags&flagExpiry != 0 {
		c.Expiry.Kind = ExpiryKind(d.Byte())
		if c.Expiry.Kind >= ExpiryIn {
			c.Expiry.MS = d.Varint()
		}
		if c.Expiry.Kind == ExpiryNone || c.Expiry.Kind >= expiryKindLimit {
			d.fail()
		}
	}
	c.Key = d.Bytes()
	switch c.Op {
	case OpPut:
		c.Value = d.readPutValue()
	case OpDelete, OpExpire, OpRead:
	case OpIncr:
		c.Delta = d.Varint()
	case OpIncrFloat:
		c.Value.Data = d.Bytes()
	case OpAppend:
		c.Limit = d.Varint()
		c.Value.Data = d.Bytes()
	case OpSetRange:
		c.Limit = d.Varint()
		c.Offset = d.Varint()
		c.Value.Data = d.Bytes()
	case OpRename:
		c.NewKey = d.Bytes()
	default:
		d.fail()
	}
	if c.Cond.Kind >= condKindLimit || flags&^commandFlags != 0 || len(c.Key) == 0 {
		d.fail()
	}
	return c
}

// EncodedSize is an upper bound for the length of AppendTo's result.
func (c *Command) EncodedSize() int {
	return 5 + 6*binary.MaxVarintLen64 + len(c.Cond.Value) + len(c.Key) + len(c.NewKey) + len(c.Value.ContentType) +
		len(c.Value.Data)
}

// PlainSize is EncodedSize with the value unpacked: what limits are about.
func (c *Command) PlainSize() int { return c.EncodedSize() - len(c.Value.Data) + c.Value.Length() }

func appendValue(b []byte, v *Value) []byte {
	b = append(b, byte(v.Kind))
	b = AppendBytes(b, v.ContentType)
	return AppendBytes(b, v.Data)
}

func (d *Decoder) readValue() (v Value) {
	v.Kind = Kind(d.Byte())
	v.ContentType = d.String()
	v.Data = d.Bytes()
	if v.Kind < String || v.Kind > Binary {
		d.fail()
	}
	return v
}

// packingShift is where the packing of a put value stands in the byte of its kind, which is none that a pxkv knows
// that knows no packing. The plain length follows.
const packingShift = 4

// appendPutValue is appendValue for a value that may be packed.
func appendPutValue(b []byte, v *Value) []byte {
	if v.Packing == NotPacked {
		return appendValue(b, v)
	}
	b = append(b, byte(v.Kind)|byte(v.Packing)<<packingShift)
	b = binary.AppendUvarint(b, uint64(v.Plain))
	b = AppendBytes(b, v.ContentType)
	return AppendBytes(b, v.Data)
}

func (d *Decoder) readPutValue() (v Value) {
	if len(d.b) == 0 || d.b[0]>>packingShift == 0 {
		return d.readValue()
	}
	head, plain := d.Byte(), d.Uvarint()
	v.Kind, v.Packing = Kind(head&(1<<packingShift-1)), Packing(head>>packingShift)
	v.Plain = int(min(plain, DefaultMaxValueBytes+1))
	v.ContentType = d.String()
	v.Data = d.Bytes()
	if v.Kind < String || v.Kind > Binary || !v.WellPacked() {
		d.fail()
	}
	return v
}

func appendReceipt(b []byte, r *Receipt) []byte {
	b = binary.AppendUvarint(b, uint64(r.Partition))
	b = binary.AppendUvarint(b, r.Index)
	return AppendBytes(b, r.Node)
}

func (d *Decoder) readReceipt() (r Receipt) {
	r.Partition = PartitionID(d.Uvarint())
	r.Index = d.Uvarint()
	r.Node = d.String()
	return r
}

// AppendTo appends the encoding of r.
func (r *Result) AppendTo(b []byte) []byte {
	var flags byte
	if r.Created {
		flags |= flagCreated
	}
	if r.Number != 0 {
		flags |= flagNumber
	}
	if r.Deadline != 0 {
		flags |= flagDeadline
	}
	if r.Item != nil {
		flags |= flagItem
	}
	if r.NowMS != 0 {
		flags |= flagNow
	}
	b = append(b, byte(r.Outcome), flags)
	b = binary.AppendUvarint(b, r.Version)
	if flags&flagNumber != 0 {
		b = binary.AppendVarint(b, r.Number)
	}
	if flags&flagDeadline != 0 {
		b = binary.AppendVarint(b, r.Deadline)
	}
	if flags&flagItem != 0 {
		b = r.Item.AppendTo(b)
	}
	if flags&flagNow != 0 {
		b = binary.AppendVarint(b, r.NowMS)
	}
	return appendReceipt(b, &r.Receipt)
}

// ReadResult reads a Result; the bytes of its Item alias the input.
func (d *Decoder) ReadResult() (r Result) {
	r.Outcome = Outcome(d.Byte())
	flags := d.Byte()
	r.Created = flags&flagCreated != 0
	r.Version = d.Uvarint()
	if flags&flagNumber != 0 {
		r.Number = d.Varint()
	}
	if flags&flagDeadline != 0 {
		r.Deadline = d.Varint()
	}
	if flags&flagItem != 0 {
		r.Item = new(d.ReadItem())
	}
	if flags&flagNow != 0 {
		r.NowMS = d.Varint()
	}
	r.Receipt = d.readReceipt()
	return r
}

// AppendTo appends the encoding of it.
func (it *Item) AppendTo(b []byte) []byte {
	b = AppendBytes(b, it.Key)
	b = appendValue(b, &it.Value)
	b = binary.AppendUvarint(b, it.Version)
	b = binary.AppendVarint(b, it.Modified)
	return binary.AppendVarint(b, it.Deadline)
}

// ReadItem reads an Item, whose byte slices alias the input.
func (d *Decoder) ReadItem() (it Item) {
	it.Key = d.Bytes()
	it.Value = d.readValue()
	it.Version = d.Uvarint()
	it.Modified = d.Varint()
	it.Deadline = d.Varint()
	return it
}

// AppendTo appends the encoding of r.
func (r *ReadResult) AppendTo(b []byte) []byte {
	var flags byte
	if r.Found {
		flags |= flagFound
	}
	if r.NowMS != 0 {
		flags |= flagReadNow
	}
	b = append(b, flags)
	b = appendReceipt(b, &r.Receipt)
	b = binary.AppendVarint(b, r.StalenessMS)
	if r.Found {
		b = r.Item.AppendTo(b)
	}
	if flags&flagReadNow != 0 {
		b = binary.AppendVarint(b, r.NowMS)
	}
	return b
}

// ReadReadResult reads a ReadResult of a whole value; its byte slices alias the input.
func (d *Decoder) ReadReadResult() (r ReadResult) {
	flags := d.Byte()
	r.Found = flags&flagFound != 0
	r.Receipt = d.readReceipt()
	r.StalenessMS = d.Varint()
	if r.Found {
		r.Item = d.ReadItem()
		r.Length = int64(len(r.Item.Value.Data))
	}
	if flags&flagReadNow != 0 {
		r.NowMS = d.Varint()
	}
	return r
}

// AppendTo appends the encoding of e, with its kind.
func (e *Error) AppendTo(b []byte) []byte {
	b = append(b, byte(e.Kind))
	b = binary.AppendUvarint(b, uint64(e.Leader))
	return AppendBytes(b, e.Text)
}

// ReadError reads an Error. A kind from a newer node becomes Internal, which no caller
// mistakes for a promise.
func (d *Decoder) ReadError() *Error {
	e := &Error{Kind: ErrorKind(d.Byte())}
	e.Leader = NodeID(d.Uvarint())
	e.Text = d.String()
	if e.Kind == 0 || e.Kind >= errorKindLimit {
		e.Text = fmt.Sprintf("error of unknown kind %d: %s", e.Kind, e.Text)
		e.Kind = Internal
	}
	return e
}
