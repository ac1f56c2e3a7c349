package transfer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"pxkv/node/kv"
)

// readAll shows each pair and fault of a file on a line.
func readAll(t *testing.T, file io.Reader, format Format, limit int) string {
	t.Helper()
	r, err := open(file, format, limit)
	if err != nil {
		return "refused: " + err.Error()
	}
	defer r.Close()
	var out strings.Builder
	for range 1000 {
		e, err := r.Next()
		f, bad := errors.AsType[*Fault](err)
		switch {
		case errors.Is(err, io.EOF):
			return strings.TrimSuffix(out.String(), "\n")
		case bad:
			fmt.Fprintln(&out, f)
		case err != nil:
			t.Fatal(err)
		default:
			fmt.Fprintf(&out, "%d/%d %q=%s %q", e.Line, e.Number, e.Key, map[kv.Kind]string{
				kv.String: "string", kv.JSON: "json", kv.Binary: "binary"}[e.Value.Kind], e.Value.Data)
			if e.Value.ContentType != "" {
				fmt.Fprintf(&out, " as %s", e.Value.ContentType)
			}
			if e.Expires != 0 {
				fmt.Fprintf(&out, " until %d", e.Expires)
			}
			out.WriteByte('\n')
		}
	}
	t.Fatal("the file has no end")
	return ""
}

func TestFilesAreRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file   string
		format Format
		want   string
	}{
		"an object": {
			file: `{"a":"x","b":{"n": [1.50, 12345678901234567890.10]},"c":true,"d":{"$binary":"AP8="}}`,
			want: `1/1 "a"=string "x"` + "\n" + `1/2 "b"=json "{\"n\":[1.50,12345678901234567890.10]}"` + "\n" +
				`1/3 "c"=json "true"` + "\n" + `1/4 "d"=binary "\x00\xff"`,
		},
		"an object over lines": {
			file: "{\r\n \"a\" : 1e400 ,\r\n\r\n \"b\":\r\n-0\r\n}\r\n",
			want: `2/1 "a"=json "1e400"` + "\n" + `4/2 "b"=json "-0"`,
		},
		"an empty object": {file: " {\n} \n", want: ""},
		"nothing":         {file: "", want: ""},
		"nothing that is json": {
			file: "", format: JSON,
			want: "line 1, pair 1: the file breaks off here; what is behind it cannot be read",
		},
		"a mark before it":       {file: "\xef\xbb\xbf{\"a\":1}", want: `1/1 "a"=json "1"`},
		"a mark before lines":    {file: "\xef\xbb\xbf{\"key\":\"a\",\"value\":1}\r\n", want: `1/1 "a"=json "1"`},
		"keys that are no text":  {file: `{"\udcff\udc80x\ud83d\ude00":1,"\u00fc":2}`, want: `1/1 "\xff\x80x😀"=json "1"` + "\n" + `1/2 "ü"=json "2"`},
		"keys with quotes":       {file: `{"a\"}\\":"}\\\""}`, want: `1/1 "a\"}\\"=string "}\\\""`},
		"the same key twice":     {file: `{"a":1,"a":2}`, want: `1/1 "a"=json "1"` + "\n" + `1/2 "a"=json "2"`},
		"pairs named like lines": {file: `{"key":"a","value":"b","more":1}`, want: `1/1 "key"=string "a"` + "\n" + `1/2 "value"=string "b"` + "\n" + `1/3 "more"=json "1"`},
		"a line":                 {file: `{"key":"a","value":"b"}`, want: `1/1 "a"=string "b"`},
		"that line as an object": {file: `{"key":"a","value":"b"}`, format: JSON, want: `1/1 "key"=string "a"` + "\n" + `1/2 "value"=string "b"`},
		"a pair named key":       {file: "{\"key\":1,\n\"value\":2}", want: `1/1 "key"=json "1"` + "\n" + `2/2 "value"=json "2"`},
		"bad values of an object": {
			file: `{"a":null,"b":NaN,"c":[1,],"":1,"d":"\ud800","e":{"$binary":"?"},"f":01,"g":1}`,
			want: "line 1, pair 1: its value is null, which no key can hold\n" +
				"line 1, pair 2: it is no JSON\nline 1, pair 3: it is no JSON\nline 1, pair 4: Missing key\n" +
				"line 1, pair 5: its value: half a surrogate pair, which is not text\n" +
				`line 1, pair 6: its value: "$binary" is not standard base64 with padding` + "\n" +
				"line 1, pair 7: it is no JSON\n" + `1/8 "g"=json "1"`,
		},
		"a torn object":          {file: "{\"a\":1,\n\"b\":\"x", want: `1/1 "a"=json "1"` + "\nline 2, pair 2: the file breaks off here; what is behind it cannot be read"},
		"torn behind a pair":     {file: "{\"a\":1\n", want: `1/1 "a"=json "1"` + "\nline 2, pair 2: the file breaks off here; what is behind it cannot be read"},
		"an array":               {file: `[1]`, want: "line 1, pair 1: found '[' where the object of pairs should begin; what is behind it cannot be read"},
		"a comma too many":       {file: `{"a":1,}`, want: `1/1 "a"=json "1"` + "\nline 1, pair 2: found '}' where a key should be; what is behind it cannot be read"},
		"a value too few":        {file: `{"a":,"b":1}`, want: "line 1, pair 1: found ',' where a value should be; what is behind it cannot be read"},
		"no value at the end":    {file: `{"a":}`, want: "line 1, pair 1: found '}' where a value should be; what is behind it cannot be read"},
		"something behind it":    {file: `{"a":1} x`, want: `1/1 "a"=json "1"` + "\nline 1, pair 2: found 'x' behind the object of pairs; what is behind it cannot be read"},
		"lines taken for object": {file: "{\"key\":1}\n{\"key\":2}\n", format: JSON, want: `1/1 "key"=json "1"` + "\nline 2, pair 2: a second object begins behind the first; are these lines, to read with --format ndjson?; what is behind it cannot be read"},
		"all that a line has": {
			file: `{"key":"a","value":"<p>","type":"string","content_type":"text/html","version":7,"modified":"2026-01-01T00:00:00.000Z","expires":"1970-01-01T00:00:01.5Z"}`,
			want: `1/1 "a"=string "<p>" as text/html until 1500`,
		},
		"bad lines": {
			format: Lines,
			file: "{\"key\":\"a\",\"value\":1}\n\n{\"key\":\"b\",\"val\n[1]\n{\"key\":\"c\"}\n{\"value\":1}\n" +
				"{\"key\":1,\"value\":1}\n{\"key\":\"d\",\"value\":null}\n{\"key\":\"e\xff\",\"value\":1}\n" +
				"{\"key\":\"f\",\"value\":1,\"expires\":\"soon\"}\n" +
				"{\"key\":\"g\",\"value\":1,\"expires\":9}\n{\"key\":\"h\",\"value\":1,\"ttl\":9}\n" +
				"{\"key\":\"i\",\"value\":1,\"content_type\":1}\n" +
				"{\"key\":\"j\",\"value\":1,\"content_type\":\"a\\r\\nb: c\"}\n{\"key\":\"z\",\"value\":1}",
			want: `1/1 "a"=json "1"` + "\nline 3, pair 2: it is no JSON\n" +
				`line 4, pair 3: it is no object like {"key":"k","value":"v"}` + "\n" + `line 5, pair 4: it has no "value"` + "\n" +
				`line 6, pair 5: it has no "key"` + "\n" + `line 7, pair 6: its "key" is no string` + "\n" +
				"line 8, pair 7: its value is null, which no key can hold\nline 9, pair 8: it is no UTF-8\n" +
				`line 10, pair 9: its "expires", "soon", is no moment like "2026-01-02T03:04:05.678Z"` + "\n" +
				`line 11, pair 10: its "expires" is no string` + "\n" +
				`line 12, pair 11: it has a "ttl", which means nothing in a file: give the moment, as "expires"` + "\n" +
				`line 13, pair 12: its "content_type" is no string` + "\n" +
				`line 14, pair 13: its "content_type" is no text of printable ASCII` + "\n" + `15/14 "z"=json "1"`,
		},
		"a dump of Redis": {file: "REDIS0099\xff", want: `refused: as a dump of Redis: it is no dump that can be read: its version is REDIS "0099", and the newest that is read is 12`},
		"torn gzip":       {file: "\x1f\x8b", want: "refused: it is compressed and cannot be read: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := readAll(t, strings.NewReader(c.file), c.format, 1<<20); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// A pair that is longer than can be held is reported, and those around it are read.
func TestTooLongPairs(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 500<<10)
	object := "{\"a\":1,\n\"b\":\"" + long + "\",\n\"c\":3}"
	want := `1/1 "a"=json "1"` + "\nline 2, pair 2: it is longer than 1000 bytes\n" + `3/3 "c"=json "3"`
	if got := readAll(t, strings.NewReader(object), "", 1000); got != want {
		t.Errorf("got %s", got)
	}
	line := func(key, value string) string { return `{"key":"` + key + `","value":"` + value + "\"}\n" }
	want = `1/1 "a"=string "1"` + "\nline 2, pair 2: it is longer than 1000 bytes\n" + `3/3 "c"=string "3"`
	if got := readAll(t, strings.NewReader(line("a", "1")+line("b", long)+line("c", "3")), "", 1000); got != want {
		t.Errorf("got %s", got)
	}
	want = `1/1 "a"=string "1"` + "\nline 2, pair 2: it is longer than 1000 bytes"
	if got := readAll(t, strings.NewReader(line("a", "1")+line("b", long)[:400<<10]), "", 1000); got != want {
		t.Errorf("a last line: got %s", got)
	}
	value := strings.Repeat("x", kv.DefaultMaxValueBytes)
	got := readAll(t, strings.NewReader(line("a", value+"y")+line("b", "1")), "", maxEntryBytes)
	if !strings.HasPrefix(got,
		"line 1, pair 1: its value of 8388609 bytes is larger than the limit") || !strings.HasSuffix(got, `"b"=string "1"`) {
		t.Errorf("got %.200s", got)
	}
}

// Compressed files are known by their first bytes, and what is torn is told where it breaks off.
func TestCompressedFiles(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&text, "{\"key\":\"%d\",\"value\":%d}\n", i, i*i*7919)
	}
	for _, name := range []string{"x.gz", "x.zst", "x"} {
		var file bytes.Buffer
		w, err := Compress(&file, name)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, text.String())
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if name != "x" && file.Len() > text.Len()/2 {
			t.Errorf("%s: nothing was compressed", name)
		}
		for _, cut := range []int{0, 1, 5, 1000} {
			r, err := Open(bytes.NewReader(file.Bytes()[:file.Len()-cut]), "")
			if err != nil {
				t.Fatal(name, err)
			}
			n := 0
			for err == nil {
				if _, err = r.Next(); err == nil {
					n++
				}
			}
			r.Close()
			if whole := errors.Is(err, io.EOF); whole != (cut == 0) && name != "x" || cut == 0 && n != 20_000 {
				t.Errorf("%s cut by %d: %d pairs, then %v", name, cut, n, err)
			}
		}
	}
}

func TestFormatsByName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Format{
		"store.json": JSON, "a/b.NDJSON": Lines, "x.jsonl.gz": Lines, "x.json.zst": JSON, "x": "", "x.gz": "", "-": "",
		"x.json.bak": "",
	} {
		if got := FormatOf(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// Of a first line that is longer than what is looked at, its beginning tells.
func TestFormatOfALongLine(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", peeked)
	for text, want := range map[string]Format{
		`{"key": "a", "value": "` + long: Lines, `{"key":"a\"","value":["` + long: Lines,
		`{"key":"a","valve":"` + long: JSON, `{"key":1,"value":"` + long: JSON, `{"a":"` + long: JSON,
	} {
		if got := detect([]byte(text)); got != want {
			t.Errorf("%.30s is %s", text, got)
		}
	}
}

// Nothing that a file holds makes the reader panic, or go on for ever.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		`{"a":1,"b":[{"c":"\ud800"}]}`, "{\"key\":\"a\",\"value\":1}\n\n{", `{"a":]`, "\xef\xbb\xbf{", "\x1f\x8b\x08", "(\xb5/\xfd",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, format := range []Format{"", JSON, Lines} {
			r, err := open(bytes.NewReader(file), format, 1<<10)
			if err != nil {
				continue
			}
			last := Place{}
			for range 1 << 20 {
				e, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				at := e.Place
				if fault, ok := errors.AsType[*Fault](err); ok {
					at = fault.Place
				} else if err != nil {
					t.Fatal(err)
				}
				if at.Number != last.Number+1 || at.Line < last.Line {
					t.Fatalf("%v follows on %v", at, last)
				}
				last = at
			}
			r.Close()
		}
	})
}
