package replica

import (
	"fmt"
	"strings"
	"testing"

	"pxkv/node/entry"
	"pxkv/node/kv"
)

func appending(key, data string) kv.Command {
	return kv.Command{Op: kv.OpAppend, Key: []byte(key), Value: kv.Value{Data: []byte(data)}, Limit: 1 << 20}
}

// Heartbeats and leases of all groups wait for a turn, so one ends when it has touched enough bytes of
// values, however short the entries are that make it.
func TestATurnEndsWhenItHasTouchedEnough(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 2, Limits{ApplyBytes: 1 << 10, EntryBytes: 1})
	const length = 100 << 10
	for p := range kv.PartitionID(2) {
		s.write(p, set("k", strings.Repeat("x", length)))
	}
	for range 6 {
		s.step()
	}
	var writes []*[]entry.Reply
	for range 5 {
		for p := range kv.PartitionID(2) {
			writes = append(writes, s.write(p, appending("k", "y"))) // an entry each
		}
	}
	answered := func() (n int) {
		for _, w := range writes {
			n += len(*w)
		}
		return n
	}
	turns := 0
	for before := 0; before < len(writes); turns++ {
		touched := s.h.stats.Touched.Load()
		s.step()
		n := answered()
		if n-before > 1 {
			t.Fatalf("%d entries are applied in a turn that has room for one", n-before)
		}
		if more := s.h.stats.Touched.Load() - touched; more > 4*length {
			t.Fatalf("a turn touches %d bytes", more)
		}
		if turns > 100 {
			t.Fatalf("%d of %d answers after %d turns", n, len(writes), turns)
		}
		if before = n; n < len(writes) && n > 0 && !s.out.More {
			t.Fatal("a turn leaves entries behind and does not say that there is more to do")
		}
	}
	for i, w := range writes {
		if got, want := (*w)[0].Result.Number, int64(length+i/2+1); got != want {
			t.Errorf("append %d made %d bytes, want %d", i, got, want)
		}
	}
}

// What was merged into an entry that touches enough before it comes is proposed again, and nobody who
// waits learns of that.
func TestWhatAnEntryPutsOffComesInAnother(t *testing.T) {
	t.Parallel()
	const length, keys, limit = 1 << 10, 40, 5 << 10
	s := newSolo(t, 1, Limits{TouchBytes: limit})
	for i := range keys {
		s.write(0, set(fmt.Sprint("k", i), strings.Repeat("x", length)))
	}
	for range 6 {
		s.step()
	}
	entries := s.h.stats.Applied.Load()
	var writes []*[]entry.Reply
	for range 2 {
		for i := range keys {
			writes = append(writes, s.write(0, appending(fmt.Sprint("k", i), "yy")))
		}
	}
	for range 100 {
		applied, touched := s.h.stats.Applied.Load(), s.h.stats.Touched.Load()
		s.step()
		if n := s.h.stats.Applied.Load() - applied; s.h.stats.Touched.Load()-touched > n*(limit+4*length) {
			t.Fatalf("%d entries touch %d bytes", n, s.h.stats.Touched.Load()-touched)
		}
	}
	for i, w := range writes {
		if len(*w) != 1 || (*w)[0].Err != nil || (*w)[0].Result.Outcome != kv.Done || (*w)[0].PutOff {
			t.Fatalf("append %d: %+v", i, *w)
		}
	}
	for i := range keys {
		rec, _, err := s.db.Get(0, fmt.Append(nil, "k", i))
		if want := strings.Repeat("x", length) + "yyyy"; err != nil || string(rec.Value.Data) != want ||
			rec.Value.Kind != kv.String {
			t.Errorf("key %d holds %d bytes of kind %v, want %d; %v", i, len(rec.Value.Data), rec.Value.Kind, len(want),
				err)
		}
	}
	if n := s.h.stats.Applied.Load() - entries; n < 20 || n > 80 {
		t.Errorf("%d entries for %d commands of which two or three fit one", n, len(writes))
	}
	// What is left does not go through the log as a whole for each two of it.
	if n := s.h.stats.PutOff.Load(); n == 0 || n > 2*int64(len(writes)) {
		t.Errorf("%d times was a command put off, of %d", n, len(writes))
	}
	if s.h.intake.uncommitted != 0 {
		t.Errorf("%d bytes are counted when all is applied", s.h.intake.uncommitted)
	}
}
