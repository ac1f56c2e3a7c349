package transfer

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"
	"time"
)

// A dump's strings come in with their deadlines; what is of other types and databases is counted.
func TestImportOfADump(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("rdb/testdata/redis7.rdb")
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeStore{}
	counts, faults, err := imported(t, s, string(file), nil)
	want := Counts{Imported: 12, Others: Others{Lists: 2, Sets: 3, SortedSets: 2, Hashes: 2, Streams: 2}, Elsewhere: 3}
	if err != nil || counts != want || len(faults) > 0 || counts.Read() != 26 || counts.Skipped() != 14 {
		t.Fatalf("%+v %v %v", counts, faults, err)
	}
	for key, want := range map[string]string{"int8": `"-7"`, "int64": `"123456789012"`, "empty": `""`,
		"bytes": `{"$binary":"/wAB"}`, "packed": `"` + strings.Repeat("abc", 200) + `"`, "text": `"hello"`} {
		if s.pairs[key] != want {
			t.Errorf("%s is %s, want %s", key, s.pairs[key], want)
		}
	}
	for _, call := range s.calls {
		for _, p := range call {
			want := map[string]string{"past": "2286-11-20T17:46:39Z", "later": "3000-01-01T00:00:00Z"}[p.Key]
			if p.Expires != want {
				t.Errorf("%s expires at %q, want %q", p.Key, p.Expires, want)
			}
		}
	}
	if text := counts.Others.String(); text != "2 hash, 2 list, 3 set, 2 zset, 2 stream" {
		t.Error(text)
	}
	s = &fakeStore{}
	counts, _, err = imported(t, s, string(file), func(im *Import) { im.Database, im.Prefix = 3, []byte("l") })
	if want := (Counts{Imported: 1, Filtered: 1, Others: Others{Lists: 1}, Elsewhere: 23}); err != nil ||
		counts != want ||
		s.pairs["last"] != `"end"` {
		t.Errorf("%+v %v %v", counts, s.pairs, err)
	}
	// It goes on behind what was done, counted in keys.
	s = &fakeStore{}
	counts, _, err = imported(t, s, string(file), func(im *Import) {
		im.State = &State{Entries: 20, Counts: Counts{Imported: 20}, begun: 20, name: t.TempDir() + "/state"}
	})
	if err != nil || counts.Read() != 26 {
		t.Errorf("%+v %v", counts, err)
	}
	// A damaged one is not taken for whole.
	_, faults, err = imported(t, &fakeStore{}, string(file[:len(file)-1])+"x", nil)
	if err != nil || len(faults) != 1 || !strings.Contains(faults[0],
		"pair 27: the file cannot be read on: the checksum") {
		t.Errorf("%v %v", faults, err)
	}
	_, faults, err = imported(t, &fakeStore{}, string(file[:len(file)/2]), nil)
	if err != nil || len(faults) != 1 || !strings.Contains(faults[0], "the file breaks off here") {
		t.Errorf("%v %v", faults, err)
	}
}

// Deadlines of a dump may be any number; what is bad is told by the number of its key.
func TestOddKeysOfADump(t *testing.T) {
	t.Parallel()
	pair := func(key string) string {
		return "\x00" + string([]byte{0x40 | byte(len(key)>>8), byte(len(key))}) + key + "\x01x"
	}
	expires := func(at int64) string { return "\xfc" + string(binary.LittleEndian.AppendUint64(nil, uint64(at))) }
	file := "REDIS0009" + expires(0) + pair("a") + expires(-5) + pair("b") + expires(1<<62) + pair("c") + pair("") +
		pair(strings.Repeat("k", 4097)) + "\xfe\x01" + pair("") + "\xff" + strings.Repeat("\x00", 8)
	s := &fakeStore{}
	counts, faults, err := imported(t, s, file, func(im *Import) { im.Now = time.Now })
	want := Counts{Imported: 1, Expired: 2, Bad: 2, Elsewhere: 1}
	if err != nil || counts != want || len(faults) != 2 {
		t.Fatalf("%+v %q %v", counts, faults, err)
	}
	if p := s.calls[0][0]; p.Key != "c" || p.Expires != "9999-12-31T23:59:59.999Z" {
		t.Errorf("%+v", p)
	}
	for i, want := range []string{"pair 4: its key is empty",
		"pair 5: its key of 4097 bytes is longer than the limit"} {
		if !strings.HasPrefix(faults[i], want) {
			t.Errorf("%s, want %s", faults[i], want)
		}
	}
}
