package main

import (
	"encoding/json"
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
	do("export", in("all.json")).expect(t, exitFine, "",
		"1 JSON object of the one member $binary cannot be told from bytes")
	do("del", "long", "like", "bytes").expect(t, exitFine, "", "")
	do("import", in("all.ndjson.gz")).expect(t, exitFine, "imported 3 pairs, skipped 0, bad 0\n", "")
	after := do("list", "--meta", "-o", "json").out
	if strip(withoutHistory(before)) != strip(withoutHistory(after)) {
		t.Errorf("got %.300s\nwant %.300s", after, before)
	}
	do("ttl", "long").expect(t, exitFine, "", "")
	do("import", in("all.ndjson.gz"), "--if-absent").expect(t, exitFine,
		"imported 0 pairs, skipped 3 (3 present), bad 0\n", "")
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
	command(t, url, nil, "import", name, "--retry-for", "-1s").expect(t, exitUsage, "",
		"--retry-for cannot be negative")
}

// A dump of Redis is known by its content, also when it is compressed, and of other formats --db says nothing.
func TestImportOfADumpOfRedis(t *testing.T) {
	url, _, _ := realNode(t, nil)
	do := func(args ...string) outcome { return command(t, url, nil, args...) }
	dump, err := os.ReadFile("transfer/rdb/testdata/redis7-lfu.rdb")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "dump.json.zst")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w, err := transfer.Compress(file, name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(dump); err != nil || w.Close() != nil || file.Close() != nil {
		t.Fatal(err)
	}
	do("import", name).expect(t, exitFine,
		"imported 12 pairs, skipped 14 (11 of other types, 3 of other databases), bad 0\n"+
			"11 keys of other types were left out: 2 hash, 2 list, 3 set, 2 zset, 2 stream\n"+
			"3 keys of other databases were left out: --db N takes those of one\n", "")
	do("get", "int32").expect(t, exitFine, "-1234567", "")
	do("import", name, "--db", "3", "--if-absent", "--format", "rdb", "-o", "json").
		expect(t, exitFine, `"imported": 1`, "")
	do("import", name, "--db", "3", "-o", "json").expect(t, exitFine, `"list": 1`, "")
	do("get", "int8").expect(t, exitFine, "other", "")
	other := write(t, filepath.Join(t.TempDir(), "a.json"), "{}")
	do("import", other, "--db", "1").expect(t, exitUsage, "", "--db is for dumps of Redis")
	do("import", other, "--format", "rdb").expect(t, exitFailed, "", "as a dump of Redis: ")
	do("export", other, "--format", "rdb").expect(t, exitUsage, "", "a format is json or ndjson")
}

// A file that breaks off is not called whole, whatever of it was imported.
func TestAFileThatBreaksOffIsNotWhole(t *testing.T) {
	t.Parallel()
	for text, whole := range map[string]bool{
		"REDIS0004\x00\x01k\x01v\xff":        true,
		"REDIS0004\x00\x01k\x01v\x00\x02":    false,
		`{"k":"v"}`:                          true,
		`{"k":"v",`:                          false,
		`{"k":"v","bad":null}`:               true,
		"{\"key\":\"k\",\"value\":1}\nbad\n": true,
	} {
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := command(t, "http://127.0.0.1:1", nil, "import", name, "--dry-run", "--output", "json")
		var v struct {
			Imported int
			Whole    *bool
		}
		err := json.Unmarshal([]byte(got.out), &v)
		if err != nil || v.Imported != 1 || v.Whole == nil || *v.Whole != whole {
			t.Errorf("%q: %v, %+v; want whole to be %v", text, err, got, whole)
		}
	}
}
