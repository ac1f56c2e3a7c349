package kv

import "encoding/binary"

// PartKind is how a Part is meant.
type PartKind uint8

const (
	WholeValue    PartKind = 0
	NoValue       PartKind = 1 // length, kind, content type, version and deadline are told all the same
	RangeOfValue  PartKind = 2 // of the bytes from Start to End
	partKindLimit PartKind = 3
)

// Part is how much of a value a read asks for. The zero Part is all of it.
type Part struct {
	Kind PartKind
	// Start and End are the first and the last byte of a range. As in Redis's GETRANGE they count from
	// the value's end when they are negative, and what lies outside of the value is left out.
	Start, End int64
}

// Of returns the part of a value's data, which it aliases; nil when there is none.
func (p Part) Of(data []byte) []byte {
	switch p.Kind {
	case WholeValue:
		return data
	case NoValue:
		return nil
	}
	start, end, n := p.Start, p.End, int64(len(data))
	if start < 0 && end < 0 && start > end {
		return nil
	}
	if start < 0 {
		start = max(start+n, 0)
	}
	if end < 0 {
		end = max(end+n, 0)
	}
	end = min(end, n-1)
	if start > end || n == 0 {
		return nil
	}
	return data[start : end+1 : end+1]
}

// AppendTo appends the encoding of p.
func (p Part) AppendTo(b []byte) []byte {
	b = append(b, byte(p.Kind))
	if p.Kind == RangeOfValue {
		b = binary.AppendVarint(binary.AppendVarint(b, p.Start), p.End)
	}
	return b
}

// MaxPartBytes is above the length of a Part's encoding.
const MaxPartBytes = 1 + 2*binary.MaxVarintLen64

// ReadPart reads a Part.
func (d *Decoder) ReadPart() (p Part) {
	if p.Kind = PartKind(d.Byte()); p.Kind >= partKindLimit {
		d.fail()
	}
	if p.Kind == RangeOfValue {
		p.Start, p.End = d.Varint(), d.Varint()
	}
	return p
}
