package kv

// Filter narrows a list to some of its items. Its texts are as the client gave them; package node/match
// compiles them where the keys are. All that are set must hold.
type Filter struct {
	Glob  string // the whole key matches it, as with KEYS of Redis; "" is none
	Regex string // RE2; some part of the key matches it, unless it is anchored; "" is none
	Type  string // one of the names of ValueType, or "json" for all but string and binary; "" is any
	Where string // an expression over the item, see docs/api.md; "" is none
}

// Limits of a filter's texts, in bytes.
const (
	MaxGlobBytes  = MaxKeyBytes
	MaxRegexBytes = 1024
	MaxWhereBytes = 4096
)

// ValueType is what kind of JSON value a value is, in the words of lists.
type ValueType string

// All there are.
const (
	TypeString ValueType = "string"
	TypeNumber ValueType = "number"
	TypeBool   ValueType = "bool"
	TypeObject ValueType = "object"
	TypeArray  ValueType = "array"
	TypeBinary ValueType = "binary"
)

// Type tells the type of a value by its kind and, for JSON, by how its text begins.
func (v *Value) Type() ValueType {
	switch v.Kind {
	case String:
		return TypeString
	case JSON:
		return typeOfJSON(v.Data)
	}
	return TypeBinary
}

func typeOfJSON(text []byte) ValueType {
	for _, c := range text {
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		case '{':
			return TypeObject
		case '[':
			return TypeArray
		case 't', 'f':
			return TypeBool
		}
		break
	}
	return TypeNumber
}
