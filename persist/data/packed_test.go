package data

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/node/pack"
)

const packedWhole = 1_000_000

// packedRecord is one whose value is "0123456789" again and again.
func packedRecord(by kv.Packing, size int, version uint64) Record {
	v := kv.Value{Kind: kv.String, ContentType: "a/b", Data: []byte(strings.Repeat("0123456789", size/10))}
	return Record{Value: pack.NewPacker(by, 1).Pack(v), Version: version, ModifiedMS: 1}
}

// Whoever reads gets what was packed: from a write buffer, a view and Pebble, and from the copy that a snapshot made.
func TestPackedValuesAreReadPlain(t *testing.T) {
	t.Parallel()
	for _, by := range []kv.Packing{kv.Zlib, kv.Zstd} {
		db, to := openTest(t, vfs.NewMem()), openTest(t, vfs.NewMem())
		bootstrap(t, db, 1, 1)
		a := db.NewApply()
		rec := packedRecord(by, packedWhole, 7)
		if rec.Value.Packing != by {
			t.Fatalf("packed by %v", rec.Value.Packing)
		}
		a.Put(1, []byte("k"), rec)
		a.Put(1, []byte("plain"), stringRecord("v", 8))
		must(t, a.Commit())
		whole := strings.Repeat("0123456789", packedWhole/10)
		check := func(where string, get func(key []byte, part kv.Part) (Record, int64, bool, error)) {
			t.Helper()
			for part, want := range map[kv.Part]string{
				{Kind: kv.NoValue}: "", {Kind: kv.RangeOfValue, Start: 3, End: 5}: "345",
				{Kind: kv.RangeOfValue, Start: -2, End: -1}: "89", {}: whole,
			} {
				got, length, found, err := get([]byte("k"), part)
				if v := got.Value; err != nil || !found || string(v.Data) != want || length != packedWhole ||
					v.Packing != kv.NotPacked || v.Plain != 0 || v.Kind != kv.String || v.ContentType != "a/b" ||
					got.Version != 7 || part.Kind != kv.WholeValue && cap(v.Data) > len(want) {
					t.Errorf("%v, %s, %+v: %d bytes of %d, found %v, %v", by, where, part, len(v.Data), length, found,
						err)
				}
			}
			if got, _, _, err := get([]byte("plain"), kv.Part{}); err != nil || string(got.Value.Data) != "v" {
				t.Errorf("%v, %s: a plain value is %q, %v", by, where, got.Value.Data, err)
			}
		}
		of := func(db *Store) func(key []byte, part kv.Part) (Record, int64, bool, error) {
			return func(key []byte, part kv.Part) (Record, int64, bool, error) { return db.GetPart(1, key, part) }
		}
		check("written a moment ago", of(db))
		v, err := db.NewView(1)
		must(t, err)
		check("view", v.GetPart)
		must(t, v.Close())
		check("Pebble", of(db))
		stream := streamOf(t, db, 1)
		if len(stream) > packedWhole/10 {
			t.Errorf("%v: the snapshot has %d bytes", by, len(stream))
		}
		r := learner(to, 1, 2)
		staged, err := to.StageSnapshot(1, bytes.NewReader(stream))
		must(t, err)
		install(t, to, r, staged)
		check("a copy", of(to))
		stored, _, err := to.NewApply().Get(1, []byte("k"))
		if err != nil || !bytes.Equal(stored.Value.Data, rec.Value.Data) || stored.Value.Packing != by ||
			stored.Value.Plain != packedWhole {
			t.Errorf("the copy has %d bytes by %v, %v", len(stored.Value.Data), stored.Value.Packing, err)
		}
		shut(t, db)
		shut(t, to)
	}
}

// A list unpacks what it shows or looks at, and counts it as it is then.
func TestPackedValuesAreListedPlain(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	bootstrap(t, db, 1, 1)
	a := db.NewApply()
	for i := range 8 {
		a.Put(1, fmt.Append(nil, "k", i), packedRecord(kv.Zstd, 10_000*(i%2+1), uint64(i+1)))
	}
	must(t, a.Commit())
	long := func(it *kv.Item) bool { return len(it.Value.Data) == 20_000 }
	seventh := func(it *kv.Item) bool { return string(it.Key) == "k7" }
	for _, tc := range []struct {
		q    Query
		want string
		next string
	}{
		{Query{}, "[k0 k1 k2 k3 k4 k5 k6 k7]", ""},
		{Query{MaxBytes: 35_000}, "[k0 k1 k2]", "k3"},
		{Query{KeysOnly: true, MaxBytes: 35_000}, "[k0 k1 k2 k3 k4 k5 k6 k7]", ""},
		{Query{Keep: long, KeepsByValue: true}, "[k1 k3 k5 k7]", ""},
		{Query{Keep: long, KeepsByValue: true, KeysOnly: true}, "[k1 k3 k5 k7]", ""},
		// Of a value that is looked at each lookedBytes count as a key: k0 and k1 have less than that, with k2 it is
		// more.
		{Query{Keep: long, KeepsByValue: true, MaxLooked: 35_000 / lookedBytes}, "[k1]", "k3"},
		{Query{Keep: seventh}, "[k7]", ""},
		{Query{Keep: seventh, MaxLooked: 8}, "[k7]", ""},
	} {
		items, next, err := db.Scan(1, tc.q)
		var keys []string
		for _, it := range items {
			keys = append(keys, string(it.Key))
			want := 10_000 * (int(it.Key[1]-'0')%2 + 1)
			if tc.q.KeysOnly {
				want = 0
			}
			v := it.Value
			if len(v.Data) != want || v.Packing != kv.NotPacked || v.Plain != 0 || v.ContentType != "a/b" {
				t.Errorf("%+v: item %q has %d bytes, by %v of %d", tc.q, it.Key, len(v.Data), v.Packing, v.Plain)
			}
		}
		if got := fmt.Sprint(keys); got != tc.want || string(next) != tc.next || err != nil {
			t.Errorf("scan for %+v: %s, next %q, %v", tc.q, got, next, err)
		}
	}
	shut(t, db)
}

// One value that does not unpack is an error of whoever reads it, and not the end of the node.
func TestOneDamagedValueIsNotTheEnd(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	bootstrap(t, db, 1, 1)
	a := db.NewApply()
	for _, by := range []kv.Packing{kv.Zlib, kv.Zstd} {
		rec := packedRecord(by, 10_000, 1)
		rec.Value.Data[len(rec.Value.Data)/2] ^= 1
		a.Put(1, []byte(by.String()), rec)
	}
	a.Put(1, []byte("sound"), packedRecord(kv.Zstd, 10_000, 2))
	must(t, a.Commit())
	for _, drained := range []bool{false, true} {
		for _, key := range []string{"zlib", "zstd"} {
			_, ok, err := db.Get(1, []byte(key))
			if ok || !errors.Is(err, pack.ErrDamaged) {
				t.Errorf("drained %v, %s: found %v, %v", drained, key, ok, err)
			}
			wantText(t, err, fmt.Sprintf("partition 1, key %q", key))
			if _, length, ok, err := db.GetPart(1, []byte(key), kv.Part{Kind: kv.NoValue}); !ok || length != 10_000 {
				t.Errorf("drained %v, %s: %d bytes, %v", drained, key, length, err)
			}
		}
		if rec, _, err := db.Get(1, []byte("sound")); err != nil || len(rec.Value.Data) != 10_000 {
			t.Errorf("drained %v: a sound value has %d bytes, %v", drained, len(rec.Value.Data), err)
		}
		if _, _, err := db.Scan(1, Query{}); !errors.Is(err, pack.ErrDamaged) {
			t.Errorf("scan: %v", err)
		}
		if items, _, err := db.Scan(1, Query{KeysOnly: true}); err != nil || len(items) != 3 {
			t.Errorf("scan for keys: %d, %v", len(items), err)
		}
	}
	shut(t, db)
}
