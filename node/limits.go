package node

import (
	"errors"
	"fmt"
	"runtime"

	"pxkv/node/kv"
	"pxkv/node/rpc"
)

// Limits bound what one request may take, of this node and of the answers between nodes. A field
// that is 0 takes its default. Tests draw them tiny, so that what lies behind a limit is walked.
// All nodes of a cluster have the same.
//
// What an answer can hold is known before anything is changed: after a change whose answer cannot
// travel, the value that it returned would be gone, and nobody could tell.
type Limits struct {
	// AnswerBytes is the longest answer to a request; Peers carries rpc.ViaOverhead more. 0: 32 MiB less that.
	AnswerBytes int
	// ValueBytes is the longest value that any node may have stored. 0: kv.DefaultMaxValueBytes.
	ValueBytes int
	// RequestBytes is about how many bytes of keys and commands one request to another node, and
	// one log entry of a batch, holds; one larger command goes alone. 0: 16 MiB.
	RequestBytes int
	// ReadBytes is how many bytes of values are read for one request of another node; one more
	// value may follow. 0: 8 MiB.
	ReadBytes int
	// UnitBytes is how many bytes of values the commands of a batch return from one log entry.
	// What would return more is cut into several; one longer value goes alone. 0: 1 MiB.
	UnitBytes int
	// TransactionBytes is how many bytes of values a transaction may return; one that might return
	// more is refused. 0: 24 MiB.
	TransactionBytes int
	// BatchBytes is how many bytes of values a batch may return before the rest of what asks for
	// any is refused; what is under way then is returned as well. 0: 64 MiB.
	BatchBytes int
	// PageItems and PageBytes bound a page of a list, one item at least. 0: 256 and 64 KiB, the most
	// that there can be.
	PageItems, PageBytes int
	// PageLooked is how many keys are looked at for a page of a list with a filter; one counts once more for each 256
	// bytes of its value, so that a page takes milliseconds. 0: 4,096, or 1 MiB of values.
	PageLooked int
	// Filtering is how many pages with a filter are made at one time: each keeps a processor busy. 0: half of
	// the processors, one at least.
	Filtering int
	// Loads is how many values are loaded from the store at one time, and half as many pages of lists. Each
	// takes up to three times the longest value while it is. 0: 16.
	Loads int
	// WalkKeys and WalkBytes bound a step of a walk; keys of one position stay together. 0: 4,096
	// and 1 MiB.
	WalkKeys, WalkBytes int
}

// resultBytes is above what a result or a key's item takes in an answer besides its value: its
// fields, and the name of a node.
const resultBytes = 512

// answerHead is above what an answer takes besides its results.
const answerHead = 64

// withDefaults fills in what is 0, and names everything that does not fit together.
func (l Limits) withDefaults() (Limits, error) {
	var errs []error
	for _, f := range []struct {
		name string
		v    *int
		def  int
	}{
		{"AnswerBytes", &l.AnswerBytes, 32<<20 - rpc.ViaOverhead},
		{"ValueBytes", &l.ValueBytes, kv.DefaultMaxValueBytes},
		{"RequestBytes", &l.RequestBytes, kv.MaxTransactionBytes - 64}, {"ReadBytes", &l.ReadBytes, 8 << 20},
		{"UnitBytes", &l.UnitBytes, 1 << 20}, {"TransactionBytes", &l.TransactionBytes, 24 << 20},
		{"BatchBytes", &l.BatchBytes, 64 << 20},
		{"PageItems", &l.PageItems, maxPageItems}, {"PageBytes", &l.PageBytes, maxPageBytes},
		{"PageLooked", &l.PageLooked, 4096}, {"Filtering", &l.Filtering, max(runtime.GOMAXPROCS(0)/2, 1)},
		{"Loads", &l.Loads, 16},
		{"WalkKeys", &l.WalkKeys, 4096}, {"WalkBytes", &l.WalkBytes, 1 << 20},
	} {
		if *f.v == 0 {
			*f.v = f.def
		}
		if *f.v < 0 {
			errs = append(errs, fmt.Errorf("limit %s is %d: it must be positive, or 0 for its default", f.name, *f.v))
		}
	}
	if l.RequestBytes > kv.MaxTransactionBytes-64 {
		errs = append(errs, fmt.Errorf("limit RequestBytes is %d, above %d", l.RequestBytes, kv.MaxTransactionBytes-64))
	}
	if l.PageItems > maxPageItems || l.PageBytes > maxPageBytes {
		errs = append(errs, fmt.Errorf("limits PageItems and PageBytes are %d and %d, above %d and %d",
			l.PageItems, l.PageBytes, maxPageItems, maxPageBytes))
	}
	if l.results() < 2 {
		errs = append(errs,
			fmt.Errorf("limit AnswerBytes is %d: it must hold ReadBytes (%d), UnitBytes (%d) and two values (%d each)",
				l.AnswerBytes, l.ReadBytes, l.UnitBytes, l.ValueBytes))
	}
	return l, errors.Join(errs...)
}

// value is the most that a value takes in an answer, content type included.
func (l *Limits) value() int { return l.ValueBytes + kv.MaxContentTypeBytes }

// reads is the most that the values read for one request take in its answer.
func (l *Limits) reads() int { return l.ReadBytes + l.value() }

// unit is the most that the values of one log entry of a batch take in an answer.
func (l *Limits) unit() int { return max(l.UnitBytes, l.value()) }

// results is how many results fit into the answer to one step.
func (l *Limits) results() int {
	return (l.AnswerBytes - answerHead - l.reads() - l.unit()) / resultBytes
}

// transaction is how many bytes of values a transaction of so many commands may return.
func (l *Limits) transaction(commands int) int {
	return min(l.TransactionBytes, l.AnswerBytes-answerHead-commands*resultBytes)
}
