package core

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"pxkv/node/kv"
	"pxkv/persist"
)

// Whoever has lost its identity may have promised anything.
func TestDataWithoutAnIdentityIsNobodys(t *testing.T) {
	t.Parallel()
	open := func(dir string) *persist.DB {
		db, err := persist.Open(persist.Options{Dir: dir, Fatal: func(text string) { t.Error(text) }})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	dir := t.TempDir()
	db := open(dir)
	b := db.NewBatch()
	b.Create(1, 1, nil)
	if err := errors.Join(b.Commit(), db.Close()); err != nil {
		t.Fatal(err)
	}
	db = open(dir)
	defer db.Close()
	s, err := Identify(db, "n", func() kv.NodeID { return 7 }, 1)
	if err == nil {
		t.Errorf("it became %+v", s)
	}
	if _, known, err := db.Identity(); known || err != nil {
		t.Errorf("an identity was written, or %v", err)
	}
}

// All machines that are made from an image in which pxkv was started once would be one node.
func TestACloneOfAFreshDirectoryIsAnotherNode(t *testing.T) {
	t.Parallel()
	last := kv.NodeID(0)
	start := func(dir string) Start {
		t.Helper()
		db, err := persist.Open(persist.Options{Dir: dir, Fatal: func(text string) { t.Error(text) }})
		if err != nil {
			t.Fatal(err)
		}
		s, err := Identify(db, "n", func() kv.NodeID { last++; return last }, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		return s
	}
	image, clone := filepath.Join(t.TempDir(), "image"), filepath.Join(t.TempDir(), "clone")
	was := start(image)
	if again := start(image); again.Identity.Node != was.Identity.Node || again.Fresh || again.Identity.Starts != 2 {
		t.Errorf("the node was %+v and is %+v", was, again)
	}
	if err := os.CopyFS(clone, os.DirFS(image)); err != nil {
		t.Fatal(err)
	}
	got := start(clone)
	if got.Identity.Node == was.Identity.Node || got.Former != was.Identity.Node || !got.Fresh {
		t.Errorf("the clone of %+v is %+v", was, got)
	}
}
