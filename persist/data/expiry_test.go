package data

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
)

func TestExpiryIndexListsDeadlinesInOrder(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	bootstrap(t, db, 2, 7)
	bootstrap(t, db, 3, 8)
	put := func(p kv.PartitionID, key string, deadline int64) {
		a := db.NewApply()
		rec := stringRecord("v", 1)
		rec.DeadlineMS = deadline
		a.Put(p, []byte(key), rec)
		must(t, a.Commit())
	}
	put(2, "c", 30)
	put(2, "a", 300)
	put(2, "b", 20)
	put(2, "d", 20)
	put(3, "other partition", 1)
	put(2, "d", 0) // lives for ever now; its item is out of date
	put(2, "c", 40)

	list := func(until int64, limit int) string {
		due, next, err := db.Due(2, Due{}, until, limit)
		must(t, err)
		text := ""
		for _, d := range due {
			text += fmt.Sprintf("%s %d %v, ", d.Key, d.DeadlineMS, d.Current)
		}
		from, _, err := db.Due(2, Due{DeadlineMS: 20}, until, limit)
		if must(t, err); len(from) != len(due) {
			t.Errorf("from a bound below all: %v", from)
		}
		return fmt.Sprintf("%snext %s %d", text, next.Key, next.DeadlineMS)
	}
	for _, c := range []struct {
		until int64
		limit int
		want  string
	}{
		{19, 10, "next b 20"},
		{20, 1, "b 20 true, next d 20"},
		{39, 10, "b 20 true, d 20 false, c 30 false, next c 40"},
		{1 << 40, 10, "b 20 true, d 20 false, c 30 false, c 40 true, a 300 true, next  0"},
	} {
		if got := list(c.until, c.limit); got != c.want {
			t.Errorf("until %d, %d: %s; want %s", c.until, c.limit, got, c.want)
		}
	}
	due, _, err := db.Due(2, Due{}, 20, 10)
	must(t, err)
	a := db.NewApply()
	for _, d := range due {
		a.Forget(2, d)
	}
	must(t, a.Commit())
	if got := list(30, 10); got != "c 30 false, next c 40" {
		t.Errorf("after clearing up to 20: %s", got)
	}
}

// Two puts of one key in one Apply leave what they would leave in two: what the index holds must
// not depend on how entries were gathered.
func TestExpiryIndexDoesNotDependOnBatches(t *testing.T) {
	t.Parallel()
	var texts [2]string
	for together := range 2 {
		db := openTest(t, vfs.NewMem())
		bootstrap(t, db, 2, 7)
		a := db.NewApply()
		for _, deadline := range []int64{5, 0, 9} {
			rec := stringRecord("v", 1)
			rec.DeadlineMS = deadline
			a.Put(2, []byte("k"), rec)
			if together == 0 {
				must(t, a.Commit())
				a = db.NewApply()
			}
		}
		must(t, a.Commit())
		var err error
		texts[together], err = partitionText(db, 2)
		must(t, err)
	}
	if texts[0] != texts[1] {
		t.Errorf("one by one\n%s\ntogether\n%s", texts[0], texts[1])
	}
}

// What is pending and what is stored are one index.
func TestDueSeesPendingItemsInOrder(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	bootstrap(t, db, 1, 1)
	put := func(key string, deadline int64) {
		a := db.NewApply()
		rec := stringRecord("v", 1)
		rec.DeadlineMS = deadline
		a.Put(1, []byte(key), rec)
		must(t, a.Commit())
	}
	forget := func(key string, deadline int64) {
		a := db.NewApply()
		a.Forget(1, Due{Key: []byte(key), DeadlineMS: deadline})
		must(t, a.Commit())
	}
	put("b", 20)
	put("d", 40)
	put("f", 60)
	db.drainPartition(kv.PartitionID(1))
	put("a", 10)
	put("c", 30)
	put("f", 60)
	put("g", 70)
	forget("d", 40)
	forget("c", 30)
	due, next, err := db.Due(1, Due{}, 60, 10)
	must(t, err)
	var got []string
	for _, d := range due {
		got = append(got, fmt.Sprintf("%s%d", d.Key, d.DeadlineMS))
	}
	if want := "[a10 b20 f60]"; fmt.Sprint(got) != want || string(next.Key) != "g" {
		t.Errorf("due are %v, then %q; want %s", got, next.Key, want)
	}
	shut(t, db)
}
