package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pxkv/cmd/pxkv/transfer"
)

// A value whose JSON no body holds, and an object that looks like bytes, are what they were after an export and an
// import.
func TestWhatNoBodySaysIsKept(t *testing.T) {
	url, _, _ := realNode(t, nil)
	do := func(args ...string) outcome { return command(t, url, nil, args...) }
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	long := write(t, in("long"), strings.Repeat("\x01", 3<<20))
	do("put", "long", "--file", long, "--content-type", "text/x", "--ttl", "1h").expect(t, exitFine, "", "")
	do("put", "like", `{"$binary":"AP8="}`, "--content-type", "application/json").expect(t, exitFine, "", "")
	do("put", "bytes", `x`, "--content-type", "text/plain").expect(t, exitFine, "", "")
	before := do("list", "--meta", "-o", "json").out
	if !strings.Contains(before, `"type":"object"`) {
		t.Fatalf("it is no object: %.200s", before)
	}
	do("export", in("all.ndjson.gz")).expect(t, exitFine, "", "exported 3 pairs")
	do("export", in("all.json")).expect(t, exitFine, "", "1 JSON object of the one member $binary cannot be told from bytes")
	do("del", "long", "like", "bytes").expect(t, exitFine, "", "")
	do("import", in("all.ndjson.gz")).expect(t, exitFine, "imported 3 pairs, skipped 0, bad 0\n", "")
	after := do("list", "--meta", "-o", "json").out
	if strip(withoutHistory(before)) != strip(withoutHistory(after)) {
		t.Errorf("got %.300s\nwant %.300s", after, before)
	}
	do("ttl", "long").expect(t, exitFine, "", "")
	do("import", in("all.ndjson.gz"), "--if-absent").expect(t, exitFine, "imported 0 pairs, skipped 3 (3 present), bad 0\n", "")
}

// strip takes out of a list when its only deadline is: a raw write gives it as what is left.
func strip(list string) string {
	begin, rest, found := strings.Cut(list, `"expires":"`)
	if !found {
		return "no deadline: " + list
	}
	_, rest, _ = strings.Cut(rest, `"`)
	return begin + rest
}

// Two imports of one file would write down at one place how far they are.
func TestTwoImportsOfOneFile(t *testing.T) {
	url, _, _ := realNode(t, nil)
	name := write(t, filepath.Join(t.TempDir(), "store.json"), `{"a":1}`)
	other, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if locked, err := transfer.Lock(other); err != nil || !locked {
		t.Fatal(locked, err)
	}
	command(t, url, nil, "import", name).expect(t, exitFailed, "", "another import of "+name+" runs")
	command(t, url, nil, "import", name, "--dry-run").expect(t, exitFine, "could import 1 pair", "")
	other.Close()
	command(t, url, nil, "import", name).expect(t, exitFine, "imported 1 pair", "")
	command(t, url, nil, "import", name, "--retry-for", "-1s").expect(t, exitUsage, "", "--retry-for cannot be negative")
}
