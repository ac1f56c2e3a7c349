package transfer

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"pxkv/node/kv"
	"pxkv/transport/jsontext"
)

// maxOperationBytes bounds the JSON of one put in a batch: nodes take bodies of up to 12 MiB.
const maxOperationBytes = 12<<20 - 1<<10

// tooLong reports whether the JSON of a pair may not fit into a batch: text of up to 8 MiB, each byte of which may be
// six in JSON.
func (e *Entry) tooLong() bool {
	room := maxOperationBytes - 6*len(e.Key) - 2*len(e.Value.ContentType) - 256
	if e.Value.Kind != kv.String || 6*len(e.Value.Data) <= room {
		return false
	}
	return len(jsontext.AppendString(nil, e.Value.Data)) > room
}

// looksLikeBytes reports whether a JSON text is an object of the single member "$binary", which is how bytes are
// written in JSON. One that is nevertheless an object is known by its type only.
func looksLikeBytes(text []byte) bool {
	if len(text) == 0 || text[0] != '{' || !bytes.Contains(text[:min(len(text), 64)], []byte(`"$binary"`)) {
		return false
	}
	names, binary := 0, false
	_, err := jsontext.Document(text, func(name []byte, _ jsontext.Span) {
		names++
		binary = string(name) == "$binary"
	})
	return err == nil && names == 1 && binary
}

// jsonType is what a value that is written raw must be called to be JSON.
const jsonType = "application/json"

const notRaw = "its value is too long for a JSON body, and no raw one can say that it is text and not JSON, as its " +
	"content type calls it"

// raw returns the pair as a raw write has it, with memory of its own.
func (e *Entry) raw() (*Entry, *Fault) {
	own := *e
	own.Key, own.Value.Data = slices.Clone(e.Key), slices.Clone(e.Value.Data)
	if own.Value.Kind == kv.JSON && own.Value.ContentType == "" {
		own.Value.ContentType = jsonType
	}
	if kv.RawValue(own.Value.Data, own.Value.ContentType).Kind != own.Value.Kind {
		return nil, &Fault{Place: e.Place, Why: notRaw}
	}
	return &own, nil
}

// addRaw appends a put that is written raw. It stays the only one of its batch.
func (b *batch) addRaw(e *Entry, hash uint64, ifAbsent bool) {
	b.ops = append(b.ops, operation{at: e.Place, key: hash, raw: e, ifAbsent: ifAbsent})
	b.keys[hash] = struct{}{}
}

// putRaw carries out an operation that is written raw, and returns it when it must be sent again.
func (s *sender) putRaw(ctx context.Context, op operation, counts *Counts) ([]operation, error) {
	present, err := s.store.Put(ctx, op.raw, op.ifAbsent)
	f, failed := errors.AsType[*Failure](err)
	switch {
	case failed && f.Ending == Refused:
		counts.Bad++
		s.fault(&Fault{Place: op.at, Why: f.Error()})
	case err != nil:
		return []operation{op}, err
	case present:
		counts.Present++
	default:
		counts.Imported++
	}
	return nil, nil
}
