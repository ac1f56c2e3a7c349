package transfer

import (
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"pxkv/cmd/pxkv/transfer/rdb"
	"pxkv/node/kv"
)

// dumpEntries reads the keys of a dump.
type dumpEntries struct {
	from *rdb.Reader
	Place
}

const (
	// lastDeadline is the end of the year 9999, Unix milliseconds: a later one cannot be told in JSON.
	lastDeadline = 253_402_300_799_999
	// longPast is a deadline that has passed: those of dumps may lie before 1970.
	longPast = 1
)

func (d *dumpEntries) next() (Entry, error) {
	it, err := d.from.Next()
	if errors.Is(err, io.EOF) {
		return Entry{}, io.EOF
	}
	d.Number++
	if err != nil {
		return Entry{}, &Fault{Place: d.Place, Why: torn(err).Error(), Last: true}
	}
	e := Entry{Database: it.Database, Type: it.Type, Key: it.Key, Place: d.Place}
	if it.Expires {
		e.Expires = min(max(it.DeadlineMS, longPast), lastDeadline)
	}
	if it.Type != rdb.String {
		return e, nil
	}
	why := ""
	switch {
	case it.Key == nil:
		why = fmt.Sprintf("its key of %d bytes is longer than the limit of %d bytes", it.KeyBytes, kv.MaxKeyBytes)
	case len(it.Key) == 0:
		why = "its key is empty, which no key can be"
	case it.Value == nil:
		why = fmt.Sprintf("its value of %d bytes is larger than the limit of %d bytes", it.ValueBytes,
			kv.DefaultMaxValueBytes)
	}
	if why != "" {
		// The rest tells whether it is wanted at all.
		return e, &Fault{Place: d.Place, Why: why}
	}
	e.Value = kv.Value{Kind: kv.Binary, Data: it.Value}
	if utf8.Valid(it.Value) {
		e.Value.Kind = kv.String
	}
	e.Raw = e.tooLong()
	return e, nil
}

// Others are keys of a dump whose values are no strings.
type Others struct {
	Lists      int `json:"list,omitzero"`
	Sets       int `json:"set,omitzero"`
	SortedSets int `json:"zset,omitzero"`
	Hashes     int `json:"hash,omitzero"`
	Streams    int `json:"stream,omitzero"`
	Modules    int `json:"module,omitzero"`
}

// of is the number of one type.
func (o *Others) of(t rdb.Type) *int {
	switch t {
	case rdb.List:
		return &o.Lists
	case rdb.Set:
		return &o.Sets
	case rdb.SortedSet:
		return &o.SortedSets
	case rdb.Hash:
		return &o.Hashes
	case rdb.Stream:
		return &o.Streams
	}
	return &o.Modules
}

// all are the types of others.
var all = [...]rdb.Type{rdb.Hash, rdb.List, rdb.Set, rdb.SortedSet, rdb.Stream, rdb.Module}

func (o *Others) add(p Others) {
	for _, t := range all {
		*o.of(t) += *p.of(t)
	}
}

// Sum is how many they are.
func (o Others) Sum() (n int) {
	for _, t := range all {
		n += *o.of(t)
	}
	return n
}

// String lists those that there are, as "7 hash, 5 list".
func (o Others) String() string {
	text := ""
	for _, t := range all {
		if n := *o.of(t); n > 0 {
			text += fmt.Sprintf(", %d %s", n, t)
		}
	}
	return text[min(2, len(text)):]
}
