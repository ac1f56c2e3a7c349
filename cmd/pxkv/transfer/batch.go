package transfer

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"time"

	"pxkv/transport/jsontext"
)

// Counts is what became of the pairs of a file.
type Counts struct {
	Imported int `json:"imported"`
	Present  int `json:"present"` // left alone, since the key was there (--if-absent)
	Expired  int `json:"expired"` // left out, since its deadline has passed
	Filtered int `json:"filtered"`
	Bad      int `json:"bad"`
	// Of a dump: keys of other types than string, and those of other databases than the one that is imported.
	Others    Others `json:"other_types,omitzero"`
	Elsewhere int    `json:"other_databases,omitzero"`
}

func (c *Counts) add(d Counts) {
	c.Imported += d.Imported
	c.Present += d.Present
	c.Expired += d.Expired
	c.Filtered += d.Filtered
	c.Bad += d.Bad
	c.Others.add(d.Others)
	c.Elsewhere += d.Elsewhere
}

// Read is how many pairs of the file these are.
func (c *Counts) Read() int { return c.Imported + c.Skipped() + c.Bad }

// Skipped is how many are not in the cluster, or not by this import, and are not bad.
func (c *Counts) Skipped() int {
	return c.Present + c.Expired + c.Filtered + c.Others.Sum() + c.Elsewhere
}

// batch is what is sent at once: operations, no two of them on one key.
type batch struct {
	text []byte // the operations, each as JSON
	ops  []operation
	keys map[uint64]struct{}
	// counts are of its own operations, as they are carried out, and of the pairs between the batch before and this one
	// that are not sent.
	counts  Counts
	through int // the number of the last of these pairs
	done    bool
}

// operation is one put of a batch.
type operation struct {
	begin, end int // in the batch's text
	at         Place
	key        uint64 // its hash
	raw        *Entry // of one that is written raw, and alone in its batch; else nil
	ifAbsent   bool   // of such a one
}

// seed is the same for all batches of a process; which keys have the same hash matters to none.
var seed = maphash.MakeSeed()

func hashOf(key []byte) uint64 { return maphash.Bytes(seed, key) }

func newBatch() *batch { return &batch{keys: make(map[uint64]struct{})} }

// add appends a put.
func (b *batch) add(e *Entry, hash uint64, ifAbsent bool) {
	begin := len(b.text)
	w := jsontext.Writer{Buf: append(b.text, `{"op":"put","key":`...)}
	w.Key(e.Key)
	w.Buf = append(w.Buf, `,"value":`...)
	contentType := e.Value.ContentType
	e.Value.ContentType = "" // its JSON has no white space left to take out
	w.Value(&e.Value)
	if contentType != "" {
		w.Buf = jsontext.AppendString(append(w.Buf, `,"content_type":`...), contentType)
	}
	if e.Expires != 0 {
		w.Buf = time.UnixMilli(e.Expires).UTC().AppendFormat(append(w.Buf, `,"expires":"`...), time.RFC3339Nano)
		w.Buf = append(w.Buf, '"')
	}
	if ifAbsent {
		w.Buf = append(w.Buf, `,"if_version":0`...)
	}
	b.text = append(w.Buf, '}')
	b.ops = append(b.ops, operation{begin: begin, end: len(b.text), at: e.Place, key: hash})
	b.keys[hash] = struct{}{}
}

func (b *batch) has(hash uint64) bool {
	_, ok := b.keys[hash]
	return ok
}

// body is a request of these operations.
func (b *batch) body(ops []operation) []byte {
	body := make([]byte, 0, len(b.text)+len(ops)+16)
	body = append(body, `{"ops":[`...)
	for i, op := range ops {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, b.text[op.begin:op.end]...)
	}
	return append(body, "]}"...)
}

// result is what a node answers of one operation.
type result struct {
	Status int    `json:"status"`
	Error  string `json:"error"`
}

// parseResults reads the answer to so many operations.
func parseResults(answer []byte, n int) ([]result, error) {
	var all struct {
		Results []result `json:"results"`
	}
	if err := json.Unmarshal(answer, &all); err != nil {
		return nil, fmt.Errorf("the answer to a batch is not what a pxkv node says: %w", err)
	}
	if len(all.Results) != n {
		return nil, fmt.Errorf("the answer to a batch has %d results for %d operations", len(all.Results), n)
	}
	return all.Results, nil
}
