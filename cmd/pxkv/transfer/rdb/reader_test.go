package rdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

var limits = Limits{KeyBytes: 100, ValueBytes: 4000}

// told is an item as text.
func told(it *Item) string {
	text := fmt.Sprintf("%d %s", it.Database, it.Type)
	if it.Expires {
		text += fmt.Sprintf(" @%d", it.DeadlineMS)
	}
	text += fmt.Sprintf(" %.20q", it.Key)
	switch {
	case it.Key == nil:
		text += fmt.Sprintf("(%d)", it.KeyBytes)
	case it.Type == String && it.Value == nil:
		text += fmt.Sprintf("=(%d)", it.ValueBytes)
	case it.Type == String:
		text += fmt.Sprintf("=%.20q", it.Value)
	}
	return text
}

// read reads all of a dump.
func read(in io.Reader) (items []string, err error) {
	r, err := NewReader(in, limits)
	if err != nil {
		return nil, err
	}
	for {
		it, err := r.Next()
		if errors.Is(err, io.EOF) {
			return items, nil
		}
		if err != nil {
			return items, err
		}
		items = append(items, told(it))
	}
}

// What a real Redis 7.0 wrote, with its encodings for what is short and for what is long, with what it keeps for
// eviction by age and by use, with and without compression and checksum.
func TestRealDumps(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"redis7", "redis7-lfu", "redis7-lru"} {
		file, err := os.ReadFile(filepath.Join("testdata", name+".rdb"))
		if err != nil {
			t.Fatal(err)
		}
		items, err := read(bytes.NewReader(file))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := []string{
			`0 hash "bighash"`, `0 hash "hash"`, `0 list "biglist"`, `0 list "list"`,
			`0 set "bigset"`, `0 set "intset"`,
			`0 set "set"`, `0 stream "plainstream"`, `0 stream "stream"`, `0 string "bytes"="\xff\x00\x01"`,
			`0 string "empty"=""`, `0 string "hll"="HYLL`, `0 string "int16"="1234"`, `0 string "int32"="-1234567"`,
			`0 string "int64"="123456789012"`, `0 string "int8"="-7"`, `0 string "long"="`,
			`0 string "packed"="abcabcabc`,
			`0 string "text"="hello"`, `0 string @32503680000000 "later"="y"`, `0 string @9999999999000 "past"="x"`,
			`0 zset "bigzset"`, `0 zset "zset"`, `3 list "list"`, `3 string "int8"="other"`, `3 string "last"="end"`,
		}
		slices.Sort(items)
		if !slices.EqualFunc(items, want, strings.HasPrefix) {
			t.Errorf("%s has\n%s\nwant\n%s", name, strings.Join(items, "\n"), strings.Join(want, "\n"))
		}
		for _, in := range []io.Reader{iotest.OneByteReader(bytes.NewReader(file)),
			iotest.DataErrReader(bytes.NewReader(file))} {
			again, err := read(in)
			slices.Sort(again)
			if err != nil || !slices.Equal(items, again) {
				t.Errorf("%s, read in other pieces: %v, %v", name, again, err)
			}
		}
		// A dump that is cut short, or has a byte more or another one, is not whole; without a checksum the last
		// shows not.
		for cut := 0; cut < len(file); cut += 1 + len(file)/1000 {
			if _, err := read(bytes.NewReader(file[:cut])); err == nil {
				t.Fatalf("%s, cut at %d of %d, is whole", name, cut, len(file))
			}
		}
		if _, err := read(strings.NewReader(string(file) + "x")); err == nil {
			t.Errorf("%s is whole with a byte behind it", name)
		}
		if name == "redis7-lru" {
			continue
		}
		for at := len(file) - 8; at < len(file); at++ {
			file[at] ^= 1
			if _, err := read(bytes.NewReader(file)); err == nil || !strings.Contains(err.Error(), "checksum") {
				t.Errorf("%s, with the byte at %d changed: %v", name, at, err)
			}
			file[at] ^= 1
		}
		file[bytes.Index(file, []byte("hello"))]++
		if _, err := read(bytes.NewReader(file)); err == nil || !strings.Contains(err.Error(), "checksum") {
			t.Errorf("%s, with a value changed: %v", name, err)
		}
	}
}

// dump makes one of parts, which are bytes or strings to be written with their length.
func dump(header string, parts ...any) []byte {
	b := []byte(header)
	for _, part := range parts {
		switch p := part.(type) {
		case int:
			b = append(b, byte(p))
		case rune:
			b = append(b, byte(p))
		case string:
			b = append(append(b, byte(len(p))), p...)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

// What other versions write is skipped to its last byte: a string follows, and is found.
func TestEveryEncoding(t *testing.T) {
	t.Parallel()
	raw := func(n int) []byte { return make([]byte, n) }
	join := func(parts ...any) []byte { return dump("", parts...) }
	stream := func(marks, groupMarks, seen int) []byte {
		return join(2, string(raw(16)), "pack", string(raw(16)), "pack", raw(marks), 1, "group", raw(groupMarks),
			2, raw(16), raw(8), 1, raw(16), raw(8), 2, 2, "c1", raw(seen), 1, raw(16), "c2", raw(seen), 0)
	}
	for name, c := range map[string]struct {
		header string
		code   int
		value  []byte
		want   Type
	}{
		"list":   {"REDIS0001", 1, join(2, "a", "b"), List},
		"set":    {"REDIS0001", 2, join(2, "a", 0xc0, 5), Set},
		"zset":   {"REDIS0001", 3, join(4, "a", "1.25", "b", 253, "c", 254, "d", 255), SortedSet},
		"hash":   {"REDIS0001", 4, join(1, "a", "b"), Hash},
		"zset 2": {"REDIS0008", 5, join(1, "a", raw(8)), SortedSet},
		"module": {"REDIS0008", 7, join(0x81, raw(8), 1, 5, 2, 0x80, raw(4), 3, raw(4), 4, raw(8), 5,
			"text", 0), Module},
		"zipmap":            {"REDIS0002", 9, join("zipmap"), Hash},
		"ziplist":           {"REDIS0002", 10, join("ziplist"), List},
		"intset":            {"REDIS0002", 11, join("intset"), Set},
		"zset of ziplist":   {"REDIS0002", 12, join("ziplist"), SortedSet},
		"hash of ziplist":   {"REDIS0004", 13, join(0xc3, 2, 5, 0, 'a'), Hash},
		"quicklist":         {"REDIS0007", 14, join(2, "ziplist", "ziplist"), List},
		"stream":            {"REDIS0009", 15, stream(3, 2, 8), Stream},
		"hash of listpack":  {"REDIS0010", 16, join("pack"), Hash},
		"zset of listpack":  {"REDIS0010", 17, join("pack"), SortedSet},
		"quicklist 2":       {"REDIS0010", 18, join(2, 1, "plain", 2, "pack"), List},
		"stream 2":          {"REDIS0010", 19, stream(8, 3, 8), Stream},
		"set of listpack":   {"REDIS0011", 20, join("pack"), Set},
		"stream 3":          {"REDIS0011", 21, stream(8, 3, 16), Stream},
		"fields, before":    {"REDIS0012", 22, join(2, 0, "f", "v", 0x41, 0xff, "g", "w"), Hash},
		"fields, Valkey":    {"VALKEY080", 22, join(2, "f", "v", raw(8), "g", "w", raw(8)), Hash},
		"pack, before":      {"REDIS0012", 23, join("pack"), Hash},
		"fields":            {"REDIS0012", 24, join(raw(8), 2, 0, "f", "v", 5, "g", "w"), Hash},
		"pack with a least": {"REDIS0012", 25, join(raw(8), "pack"), Hash},
	} {
		file := dump(c.header, 254, 2, 253, raw(4), c.code, "other", c.value, 0, "k", "v", 255, raw(8))
		if c.header < "REDIS0005" {
			file = file[:len(file)-8] // there were no checksums
		}
		items, err := read(bytes.NewReader(file))
		want := []string{fmt.Sprintf(`2 %s @0 "other"`, c.want), `2 string "k"="v"`}
		if err != nil || !slices.Equal(items, want) {
			t.Errorf("%s: %q, %v; want %q", name, items, err, want)
		}
	}
}

// What stands between keys is skipped, and says what it has to say.
func TestPartsBetweenKeys(t *testing.T) {
	t.Parallel()
	raw := make([]byte, 8)
	file := dump("VALKEY080", 250, "aux", "value", 245, "function", 246, "name", "lua", 1, "text", "code", 246,
		"name", "lua", 0,
		"code", 247, 0x81, raw, 2, 7, 5, "text", 0, 243, "job", 2, 1, 5, 7, 0x40, 0x80, 244, 1, 2, 3, 251, 0x80, 0,
		0, 1, 0, 5,
		248, 0x80, 0, 0, 0, 9, 249, 200, 252, binary.LittleEndian.AppendUint64(nil, 1234567890123), 0, "a", 0xc1,
		0xd2, 0x04,
		253, binary.LittleEndian.AppendUint32(nil, 1_000_000), 0, "b", 0xc2, 0xff, 0xff, 0xff, 0xff,
		0, strings.Repeat("k", 101-41)+strings.Repeat("l", 2), "v", 254, 0x81, raw[:7], 9, 0, "", "", 255, raw)
	items, err := read(bytes.NewReader(file))
	want := []string{`0 string @1234567890123 "a"="1234"`, `0 string @1000000000 "b"="-1"`,
		`0 string "kkkkkkkkkkkkkkkkkkkk"="v"`,
		`9 string ""=""`}
	if err != nil || !slices.Equal(items, want) {
		t.Errorf("%q, %v; want %q", items, err, want)
	}
}

// What is too long is told by its length and not held, compressed or not; a length is nothing to allocate by.
func TestWhatIsTooLong(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte{'x'}, 5000)
	file := dump("REDIS0009", 0, 0x40|5000>>8, 5000&0xff, long, "v",
		0, "raw", 0x80, 0, 0, 5000>>8, 5000&0xff, long, 0, "packed", 0xc3, 3, 0x80, 0x7f, 0, 0, 0, 0, 'a', 0xe0,
		0, "k", "v", 255, make([]byte, 8))
	items, err := read(bytes.NewReader(file))
	want := []string{`0 string ""(5000)`, `0 string "raw"=(5000)`, `0 string "packed"=(2130706432)`, `0 string "k"="v"`}
	if err != nil || !slices.Equal(items, want) {
		t.Errorf("%q, %v; want %q", items, err, want)
	}
}

func TestBrokenDumps(t *testing.T) {
	t.Parallel()
	for file, why := range map[string]string{
		"":                                      "no header",
		"REDIS":                                 "no header",
		"REDISabcd":                             `version is REDIS "abcd"`,
		"REDIS0000":                             "version",
		"REDIS0013":                             "newest that is read is 12",
		"VALKEY081":                             "newest that is read is 80",
		"MEMCACHED":                             "neither REDIS nor VALKEY",
		"REDIS0009":                             "unexpected EOF",
		string(dump("REDIS0009", 26, "k")):      "unknown type 26",
		string(dump("VALKEY080", 24, "k")):      "unknown type 24",
		string(dump("REDIS0009", 243)):          "unknown part 243",
		string(dump("REDIS0009", 0, "k", 0xc4)): "unknown encoding 4",
		string(dump("REDIS0009", 0, "k", 0x82)): "a length begins with 0x82",
		string(dump("REDIS0009", 254, 0xc0)):    "where a length should be",
		string(dump("REDIS0009", 7, "k", 0, 6)): "unknown kind 6",
		string(dump("REDIS0009", 0, "k", 0xc3, 5, 4)):              "of 4 bytes is compressed to 5",
		string(dump("REDIS0009", 0, "k", 0xc3, 2, 9, 0x20, 0)):     "damaged",
		string(dump("REDIS0009", 0, "k", 0xc3, 2, 9, 5, 'a')):      "damaged",
		string(dump("REDIS0009", 0, "k", 0xc3, 2, 9, 0, 'a')):      "damaged",
		string(dump("REDIS0009", 0, "k", 0xc3, 3, 3, 0, 'a', 224)): "damaged",
	} {
		if _, err := read(strings.NewReader(file)); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want %q", file, err, why)
		}
	}
	r, err := NewReader(io.MultiReader(strings.NewReader("REDIS0009"), iotest.ErrReader(errors.New("no disk"))), limits)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := r.Next(); err == nil || err.Error() != "no disk" {
			t.Errorf("a file that cannot be read: %v", err)
		}
	}
}

// Whatever a file has, reading it ends, holds little, and gives nothing that is longer than the limits.
func FuzzReader(f *testing.F) {
	names, _ := filepath.Glob("testdata/*.rdb")
	for _, name := range names {
		file, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	f.Add(dump("VALKEY080", 0, "k", 0xc3, 3, 9, 0, 'a', 0xe0, 0))
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := NewReader(bytes.NewReader(file), limits)
		if err != nil {
			return
		}
		for n := 0; ; n++ {
			it, err := r.Next()
			if err != nil {
				break
			}
			if len(it.Key) > limits.KeyBytes || len(it.Value) > limits.ValueBytes || n > len(file) {
				t.Fatalf("item %d is %s", n, told(it))
			}
		}
		if cap(r.value)+cap(r.packed)+cap(r.key) > 5*(limits.ValueBytes+limits.KeyBytes) {
			t.Errorf("it holds %d, %d and %d bytes", cap(r.value), cap(r.packed), cap(r.key))
		}
	})
}
