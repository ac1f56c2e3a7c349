package transfer

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
)

// doneStore answers at once that all is done: what is left is what an import itself costs.
type doneStore struct{}

func (doneStore) Batch(_ context.Context, body []byte) ([]byte, error) {
	n := bytes.Count(body, []byte(`{"op":`))
	return []byte(`{"results":[` + strings.TrimSuffix(strings.Repeat(`{"status":200},`, n), ",") + "]}"), nil
}

func (doneStore) Put(context.Context, *Entry, bool) (bool, error) { return false, nil }

// BenchmarkImport is of a pair.
func BenchmarkImport(b *testing.B) {
	text := numbered(b.N)
	b.ReportAllocs()
	b.ResetTimer()
	from, err := Open(strings.NewReader(text), "")
	if err != nil {
		b.Fatal(err)
	}
	im := &Import{Store: doneStore{}, RetryFor: time.Minute, Now: time.Now, Fault: func(f *Fault) { b.Error(f) },
		Warn: func(err error) { b.Error(err) }}
	if counts, err := im.Run(b.Context(), from); err != nil || counts.Imported != b.N {
		b.Fatal(counts, err)
	}
}
