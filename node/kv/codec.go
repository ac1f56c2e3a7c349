package kv

import (
	"encoding/binary"
	"fmt"
)

// The encodings in this file travel in log entries and between nodes. They carry no version
// of their own: the envelope around them (log payload, forwarded request) does.

const (
	flagBlind   = 1 << 0
	flagCreated = 1 << 0
	flagFound   = 1 << 0
)

// AppendTo appends the encoding of c.
func (c *Command) AppendTo(b []byte) []byte {
	var flags byte
	if c.Blind {
		flags |= flagBlind
	}
	b = append(b, byte(c.Op), flags, byte(c.Cond.Kind))
	if c.Cond.Kind == CondVersion {
		b = binary.AppendUvarint(b, c.Cond.Version)
	}
	b = AppendBytes(b, c.Key)
	if c.Op == OpPut {
		b = appendValue(b, &c.Value)
	}
	return b
}

// ReadCommand reads a Command; its byte slices alias the decoder's input. The result is
// well formed but not validated against limits: see Validate.
func (d *Decoder) ReadCommand() (c Command) {
	c.Op = Op(d.Byte())
	flags := d.Byte()
	c.Blind = flags&flagBlind != 0
	c.Cond.Kind = CondKind(d.Byte())
	if c.Cond.Kind == CondVersion {
		c.Cond.Version = d.Uvarint()
	}
	c.Key = d.Bytes()
	switch c.Op {
	case OpPut:
		c.Value = d.readValue()
	case OpDelete:
	default:
		d.fail()
	}
	if c.Cond.Kind >= condKindLimit || flags&^flagBlind != 0 || len(c.Key) == 0 {
		d.fail()
	}
	return c
}

// EncodedSize is an upper bound for the length of AppendTo's result.
func (c *Command) EncodedSize() int {
	return 3 + 4*binary.MaxVarintLen64 + len(c.Key) + 1 + len(c.Value.ContentType) + len(c.Value.Data)
}

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
	b = append(b, byte(r.Outcome), flags)
	b = binary.AppendUvarint(b, r.Version)
	return appendReceipt(b, &r.Receipt)
}

// ReadResult reads a Result.
func (d *Decoder) ReadResult() (r Result) {
	r.Outcome = Outcome(d.Byte())
	r.Created = d.Byte()&flagCreated != 0
	r.Version = d.Uvarint()
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
	b = append(b, flags)
	b = appendReceipt(b, &r.Receipt)
	b = binary.AppendVarint(b, r.StalenessMS)
	if r.Found {
		b = r.Item.AppendTo(b)
	}
	return b
}

// ReadReadResult reads a ReadResult, whose byte slices alias the input.
func (d *Decoder) ReadReadResult() (r ReadResult) {
	r.Found = d.Byte()&flagFound != 0
	r.Receipt = d.readReceipt()
	r.StalenessMS = d.Varint()
	if r.Found {
		r.Item = d.ReadItem()
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
