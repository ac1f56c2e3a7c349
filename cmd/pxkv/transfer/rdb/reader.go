package rdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Type is what kind of value a key has.
type Type uint8

// All there are.
const (
	String Type = iota
	List
	Set
	SortedSet
	Hash
	Stream
	Module
)

// String returns the word that Redis has for it.
func (t Type) String() string {
	return [...]string{"string", "list", "set", "zset", "hash", "stream", "module"}[t]
}

// Item is a key of the dump. Its bytes live until the next one is read.
type Item struct {
	Database uint64
	Type     Type
	Key      []byte // nil when it is longer than the limit
	Value    []byte // of a string; nil when it is longer than the limit
	// KeyBytes and ValueBytes are the lengths in the dump; the latter is of a string.
	KeyBytes, ValueBytes uint64
	Expires              bool
	DeadlineMS           int64 // Unix milliseconds, when it expires
}

// Limits bound what is held: what is longer is told by its length alone.
type Limits struct{ KeyBytes, ValueBytes int }

// ErrFormat is the error of a dump that is not one, or of another version.
var ErrFormat = errors.New("it is no dump that can be read")

// The versions that are read.
const (
	newestRedis  = 12 // of Redis 8.0; Valkey up to 8 has 11
	newestValkey = 80 // of Valkey 9, which begins with it
)

// Reader reads a dump.
type Reader struct {
	source
	limits  Limits
	valkey  bool
	version int
	item    Item
	key     []byte
	value   []byte
	packed  []byte
	err     error
}

// Is reports whether a file that begins so is a dump: 6 bytes tell.
func Is(begin []byte) bool {
	_, _, ok := magic(begin)
	return ok
}

// magic tells whose dump it is, and how long its name is.
func magic(begin []byte) (valkey bool, length int, ok bool) {
	switch {
	case len(begin) >= 6 && string(begin[:6]) == "VALKEY":
		return true, 6, true
	case len(begin) >= 5 && string(begin[:5]) == "REDIS":
		return false, 5, true
	}
	return false, 0, false
}

// headerBytes is how long the header is: the name and the version, as digits.
const headerBytes = 9

// NewReader reads the header.
func NewReader(in io.Reader, limits Limits) (*Reader, error) {
	r := &Reader{source: source{in: in, buf: make([]byte, 64<<10)}, limits: limits}
	header, err := r.peek(headerBytes)
	if err != nil {
		return nil, fmt.Errorf("%w: it has no header", ErrFormat)
	}
	valkey, n, ok := magic(header)
	if !ok {
		return nil, fmt.Errorf("%w: it begins with neither REDIS nor VALKEY", ErrFormat)
	}
	v, err := strconv.Atoi(string(header[n:]))
	newest, name := newestRedis, "REDIS"
	if r.valkey = valkey; valkey {
		newest, name = newestValkey, "VALKEY"
	}
	if err != nil || v < 1 || v > newest {
		return nil, fmt.Errorf("%w: its version is %s %q, and the newest that is read is %d", ErrFormat, name,
			header[n:], newest)
	}
	r.version = v
	r.skipPeeked(headerBytes)
	return r, nil
}

// The bytes that are no type of a value.
const (
	opSlotImport  = 243 // of Valkey
	opSlotInfo    = 244
	opFunction2   = 245
	opFunctionOld = 246
	opModuleAux   = 247
	opIdle        = 248
	opFreq        = 249
	opAux         = 250
	opResize      = 251
	opExpireMS    = 252
	opExpire      = 253
	opSelect      = 254
	opEnd         = 255
)

// Next returns the next key.
func (r *Reader) Next() (*Item, error) {
	if r.err != nil {
		return nil, r.err
	}
	r.item = Item{Database: r.item.Database}
	for {
		op, err := r.byte()
		if err == nil && op < opSlotImport {
			err = r.read(op)
			if err == nil {
				return &r.item, nil
			}
		} else if err == nil {
			err = r.operation(op)
		}
		if err != nil {
			if errors.Is(err, io.EOF) && op != opEnd {
				err = io.ErrUnexpectedEOF
			}
			r.err = err
			return nil, err
		}
	}
}

// operation reads what stands between keys. io.EOF is the end.
func (r *Reader) operation(op byte) (err error) {
	switch op {
	case opEnd:
		return r.end()
	case opSelect:
		r.item.Database, err = r.length()
	case opExpire:
		var b []byte
		if b, err = r.fixed(4); err == nil {
			r.item.Expires, r.item.DeadlineMS = true, int64(int32(binary.LittleEndian.Uint32(b)))*1000
		}
	case opExpireMS:
		var b []byte
		if b, err = r.fixed(8); err == nil {
			r.item.Expires, r.item.DeadlineMS = true, int64(binary.LittleEndian.Uint64(b))
		}
	case opResize:
		err = r.skipLengths(2)
	case opAux:
		err = r.skipStrings(2)
	case opFreq:
		err = r.skip(1)
	case opIdle:
		err = r.skipLengths(1)
	case opFunction2:
		err = r.skipStrings(1)
	case opFunctionOld:
		err = r.skipOldFunction()
	case opModuleAux:
		if err = r.skipLengths(3); err == nil { // the module, and when it wants to be loaded
			err = r.skipModule()
		}
	case opSlotInfo:
		err = r.skipLengths(3)
	case opSlotImport:
		err = r.skipSlotImport()
	}
	return err
}

// read reads a key and its value.
func (r *Reader) read(code byte) (err error) {
	it := &r.item
	var ok bool
	if it.Type, ok = r.typeOf(code); !ok {
		return fmt.Errorf("%w: a value has the unknown type %d", ErrFormat, code)
	}
	if it.Key, it.KeyBytes, err = r.string(r.key[:0], r.limits.KeyBytes); err != nil {
		return err
	}
	if it.Key != nil {
		r.key = it.Key
	}
	if code != codeString {
		return r.skipValue(code)
	}
	if it.Value, it.ValueBytes, err = r.string(r.value[:0], r.limits.ValueBytes); err == nil && it.Value != nil {
		r.value = it.Value
	}
	return err
}

// end checks that the dump is whole.
func (r *Reader) end() error {
	if r.version < 5 {
		return r.nothingMore()
	}
	sum := r.checksum()
	b, err := r.fixed(8)
	if err != nil {
		return io.ErrUnexpectedEOF
	}
	if want := binary.LittleEndian.Uint64(b); want != 0 && want != sum { // 0: it was written without
		return fmt.Errorf("the checksum of the dump is %016x, and should be %016x: it is damaged", sum, want)
	}
	return r.nothingMore()
}

func (r *Reader) nothingMore() error {
	switch _, err := r.byte(); {
	case err == nil:
		return fmt.Errorf("%w: something follows behind its end", ErrFormat)
	default:
		return err // io.EOF, when all is well
	}
}
