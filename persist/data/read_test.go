package data

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/persist/disk"
	"pxkv/persist/state"
)

func TestScan(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	bootstrap(t, db, 1, 1)
	bootstrap(t, db, 2, 1)
	a := db.NewApply()
	for _, key := range []string{"a", "a/1", "a/2", "a/3", "b", "\xff", "\xff\xff"} {
		a.Put(1, []byte(key), stringRecord(strings.Repeat("v", 100), 1))
	}
	a.Put(2, []byte("a/9"), stringRecord("other", 1))
	must(t, a.Commit())
	odd := func(it *kv.Item) bool { return strings.ContainsAny(string(it.Key), "13") && len(it.Value.Data) == 100 }
	for _, tc := range []struct {
		q    Query
		want string
		next string
	}{
		{Query{}, `[a a/1 a/2 a/3 b \xff \xff\xff]`, ""},
		{Query{Prefix: []byte("a/")}, `[a/1 a/2 a/3]`, ""},
		{Query{From: []byte("a/2"), Prefix: []byte("a/")}, `[a/2 a/3]`, ""},
		{Query{From: []byte("a/2"), MaxItems: 2}, `[a/2 a/3]`, "b"},
		{Query{Prefix: []byte("a/"), MaxItems: 3}, `[a/1 a/2 a/3]`, ""},
		{Query{MaxBytes: 1}, `[a]`, "a/1"},
		{Query{MaxBytes: 200}, `[a a/1]`, "a/2"},
		{Query{From: []byte("b"), Prefix: []byte("a/")}, `[]`, ""},
		{Query{Prefix: []byte("zzz")}, `[]`, ""},
		{Query{Prefix: []byte("\xff")}, `[\xff \xff\xff]`, ""},
		{Query{From: []byte("\xff\xff"), Prefix: []byte("\xff")}, `[\xff\xff]`, ""},
		{Query{To: []byte("a/2")}, `[a a/1]`, ""},
		{Query{To: []byte("a/2"), Prefix: []byte("a/")}, `[a/1]`, ""},
		{Query{To: []byte("a"), Prefix: []byte("a/")}, `[]`, ""},
		{Query{From: []byte("b"), To: []byte("a")}, `[]`, ""},
		{Query{To: []byte("\xff\xff\xff")}, `[a a/1 a/2 a/3 b \xff \xff\xff]`, ""},
		{Query{Keep: odd}, `[a/1 a/3]`, ""},
		{Query{Keep: odd, MaxItems: 1}, `[a/1]`, "a/2"},
		{Query{Keep: odd, MaxLooked: 3}, `[a/1]`, "a/3"},
		{Query{Keep: odd, MaxLooked: 1}, `[]`, "a/1"},
	} {
		items, next, err := db.Scan(1, tc.q)
		var keys []string
		for _, it := range items {
			keys = append(keys, strings.Trim(fmt.Sprintf("%q", it.Key), `"`))
			if len(it.Value.Data) != 100 {
				t.Errorf("item %q has %d bytes", it.Key, len(it.Value.Data))
			}
		}
		if got := fmt.Sprint(keys); got != tc.want || string(next) != tc.next || err != nil {
			t.Errorf("scan for %+v: %s, next %q, %v", tc.q, got, next, err)
		}
	}
	items, _, err := db.Scan(1, Query{KeysOnly: true})
	must(t, err)
	if items[0].Value.Data != nil || items[0].Version != 1 || items[0].Value.Kind == 0 {
		t.Errorf("keys only is %v", items[0])
	}
	shut(t, db)
}

// What a page looks at is bounded in bytes, too.
func TestALongValueIsMuchToLookAt(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	bootstrap(t, db, 1, 1)
	a := db.NewApply()
	for _, key := range []string{"a", "b", "c", "d"} {
		a.Put(1, []byte(key), stringRecord(strings.Repeat("v", 4*lookedBytes), 1))
	}
	must(t, a.Commit())
	for looked, next := range map[int]string{1: "b", 5: "b", 6: "c", 10: "c", 11: "d", 16: ""} {
		items, got, err := db.Scan(1, Query{Keep: func(*kv.Item) bool { return false }, MaxLooked: looked})
		if len(items) > 0 || string(got) != next || err != nil {
			t.Errorf("after %d: %d items, next %q, %v, want %q", looked, len(items), got, err, next)
		}
	}
	shut(t, db)
}

// A part is found where the whole value is, and memory is taken for the part alone.
func TestPartsAreReadWithoutTheRest(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	bootstrap(t, db, 1, 1)
	a := db.NewApply()
	whole := strings.Repeat("0123456789", 100_000)
	a.Put(1, []byte("k"), stringRecord(whole, 7))
	must(t, a.Commit())
	check := func(where string, get func(key []byte, part kv.Part) (Record, int64, bool, error)) {
		for part, want := range map[kv.Part]string{
			{Kind: kv.NoValue}: "", {Kind: kv.RangeOfValue, Start: 3, End: 5}: "345",
			{Kind: kv.RangeOfValue, Start: -2, End: -1}: "89", {}: whole,
		} {
			rec, length, found, err := get([]byte("k"), part)
			if err != nil || !found || string(rec.Value.Data) != want ||
				part.Kind != kv.WholeValue && cap(rec.Value.Data) > len(want) || length != int64(len(whole)) ||
				rec.Version != 7 {
				t.Errorf("%s, %+v: %d bytes of %d in %d, found %v, %v", where, part, len(rec.Value.Data), length,
					cap(rec.Value.Data), found, err)
			}
			if rec, length, found, err := get([]byte("none"), part); err != nil || found || length != 0 ||
				rec.Value.Data != nil {
				t.Errorf("%s, %+v of nothing: %v, %d, %v, %v", where, part, rec, length, found, err)
			}
		}
	}
	ofDB := func(key []byte, part kv.Part) (Record, int64, bool, error) { return db.GetPart(1, key, part) }
	check("written a moment ago", ofDB)
	v, err := db.NewView(1) // which hands all on to Pebble
	must(t, err)
	check("view", v.GetPart)
	must(t, v.Close())
	check("Pebble", ofDB)
	shut(t, db)
}

func TestGetOwnsItsMemory(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	bootstrap(t, db, 1, 1)
	a := db.NewApply()
	first := stringRecord("first", 1)
	a.Put(1, []byte("k"), first)
	must(t, a.Commit())
	first.Value.Data[0] = 'X' // the log entry's memory is used again
	rec, ok, err := db.Get(1, []byte("k"))
	must(t, err)
	a = db.NewApply()
	for range 1000 {
		a.Put(1, []byte("k"), stringRecord("other", 2))
	}
	must(t, a.Commit())
	if !ok || string(rec.Value.Data) != "first" {
		t.Errorf("record is now %v", rec)
	}
	if _, ok, err := db.Get(2, []byte("k")); ok || err != nil {
		t.Errorf("another partition has it: %v", err)
	}
	shut(t, db)
	if _, _, err := db.Get(1, []byte("k")); !errors.Is(err, disk.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestApplySeesItself(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	r := bootstrap(t, db, 1, 1)
	a := db.NewApply()
	a.Put(1, []byte("old"), stringRecord("old", 1))
	must(t, a.Commit())

	a = db.NewApply()
	a.Put(1, []byte("new"), stringRecord("1", 2))
	a.Put(1, []byte("new"), stringRecord("2", 3))
	a.Delete(1, []byte("old"))
	a.Put(2, []byte("old"), stringRecord("elsewhere", 1))
	a.SetApplied(r, state.Applied{Index: 2, Term: 1})
	a.SetApplied(r, state.Applied{Index: 3, Term: 1})
	if rec, ok, _ := a.Get(1, []byte("new")); !ok || rec.Version != 3 {
		t.Errorf("new is %v, %v", rec, ok)
	}
	if _, ok, _ := a.Get(1, []byte("old")); ok {
		t.Error("old is still there")
	}
	if _, ok, _ := db.Get(1, []byte("old")); !ok || r.Applied().Index != 1 {
		t.Error("effects are seen before Commit")
	}
	var touched []string
	a.Touched(func(p kv.PartitionID, key []byte, _ *Record) { touched = append(touched, fmt.Sprintf("%s:%s", p, key)) })
	if fmt.Sprint(touched) != "[1:new 1:old 2:old]" {
		t.Errorf("touched %v", touched)
	}
	must(t, a.Commit())
	if rec, ok, _ := db.Get(1, []byte("new")); !ok || rec.Version != 3 || r.Applied().Index != 3 {
		t.Errorf("after Commit new is %v, applied %d", rec, r.Applied().Index)
	}
	must(t, db.NewApply().Commit())
	shut(t, db)
}

// A value that is longer than a page goes alone, so that what is short comes also where there is no room for it.
func TestALongValueGoesAlone(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	bootstrap(t, db, 1, 1)
	a := db.NewApply()
	for _, key := range []string{"a", "b", "d"} {
		a.Put(1, []byte(key), stringRecord("short", 1))
	}
	a.Put(1, []byte("c"), stringRecord(strings.Repeat("v", 1000), 1))
	must(t, a.Commit())
	var pages []string
	for from := []byte("a"); from != nil; {
		items, next, err := db.Scan(1, Query{From: from, MaxBytes: 900})
		must(t, err)
		page := ""
		for _, it := range items {
			page += string(it.Key)
		}
		pages, from = append(pages, page), next
	}
	if got := strings.Join(pages, " "); got != "ab c d" {
		t.Errorf("the pages are %s", got)
	}
	if items, _, err := db.Scan(1, Query{KeysOnly: true, MaxBytes: 900}); err != nil || len(items) != 4 {
		t.Errorf("%d keys without their values, %v", len(items), err)
	}
}

// Of a value that is longer than what is wanted the length is told.
func TestGetUpTo(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	bootstrap(t, db, 1, 1)
	a := db.NewApply()
	a.Put(1, []byte("k"), stringRecord("12345", 1))
	must(t, a.Commit())
	for most, want := range map[int64]string{4: "", 5: "12345"} {
		rec, length, found, err := db.GetUpTo(1, []byte("k"), most)
		if err != nil || !found || length != 5 || string(rec.Value.Data) != want {
			t.Errorf("up to %d: %q of %d bytes, found %v, %v", most, rec.Value.Data, length, found, err)
		}
	}
}
