package data

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
)

// TestSnapshotIsOfOneMoment streams while the partition is written, replaced and destroyed.
func TestSnapshotIsOfOneMoment(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	r := filled(t, db, 1)
	before := streamOf(t, db, 1)
	s, err := db.OpenSnapshot(1)
	must(t, err)
	v, err := db.NewView(1)
	must(t, err)

	applyTo(t, db, r, 60)
	other := openTest(t, vfs.NewMem())
	filled(t, other, 1)
	staged, err := db.StageSnapshot(1, bytes.NewReader(streamOf(t, other, 1)))
	must(t, err)
	install(t, db, r, staged)
	must(t, db.Destroy(1))
	must(t, db.pebble.Flush())

	var stream bytes.Buffer
	_, err = s.WriteTo(&stream)
	must(t, err)
	if !bytes.Equal(stream.Bytes(), before) || s.view.Applied().Index != 50 {
		t.Error("the snapshot is not what it was when it was opened")
	}
	rec, _, ok, err := v.GetPart([]byte("key0007"), kv.Part{})
	if err != nil || !ok || string(rec.Value.Data) != "value 7" {
		t.Errorf("the view has %v, %v, %v", rec, ok, err)
	}
	if _, _, ok, err := v.GetPart([]byte("key"), kv.Part{}); ok || err != nil {
		t.Errorf("the view has what is not there: %v", err)
	}
	must(t, errors.Join(s.Close(), v.Close()))
	shut(t, db)
	shut(t, other)
}

func TestLargeSnapshot(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	bootstrap(t, db, 0, 1)
	rng := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	for i := range 40 {
		a := db.NewApply()
		a.Put(0, fmt.Appendf(nil, "big%d", i), Record{Value: kv.Value{Kind: kv.Binary, Data: noise}, Version: 1})
		must(t, a.Commit())
	}
	a := db.NewApply()
	a.Put(0, []byte("huge"), Record{Value: kv.Value{Kind: kv.Binary, Data: bytes.Repeat(noise, 8)}, Version: 1})
	must(t, a.Commit())
	stream := streamOf(t, db, 0)

	to := openTest(t, vfs.NewMem())
	r := learner(to, 0, 2)
	staged, err := to.StageSnapshot(0, bytes.NewReader(stream))
	must(t, err)
	if len(staged.tables) < 2 {
		t.Errorf("%d bytes lie in %d table", len(stream), len(staged.tables))
	}
	install(t, to, r, staged)
	if !bytes.Equal(streamOf(t, to, 0), stream) {
		t.Error("the copy streams something else")
	}
	shut(t, db)
	shut(t, to)
}

func TestEmptySnapshot(t *testing.T) {
	t.Parallel()
	from, to := openTest(t, vfs.NewMem()), openTest(t, vfs.NewMem())
	bootstrap(t, from, 2, 1)
	r := filled(t, to, 2)
	staged, err := to.StageSnapshot(2, bytes.NewReader(streamOf(t, from, 2)))
	must(t, err)
	install(t, to, r, staged)
	if items, _, err := to.Scan(2, Query{}); err != nil || len(items) != 0 {
		t.Errorf("%d items are left, %v", len(items), err)
	}
	shut(t, from)
	shut(t, to)
}
