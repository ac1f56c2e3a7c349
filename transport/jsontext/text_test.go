package jsontext

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	_ "pxkv/deploy/properties"
)

// texts are seeds for everything that reads JSON.
var texts = []string{
	``, ` `, `null`, `true`, `fals`, `nulll`, `0`, `-0`, `01`, `-`, `1.`, `.5`, `1.5e`, `1e+5`, `1E-05`, `+1`, `--1`,
	`1 2`, `0x10`, `Infinity`,
	`""`, `"a`, `"\"`, `"\u12"`, `"\u12G4"`, `"\x"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ude00\ud83d"`, "\"\t\"",
	"\"\x7f\"", "\"\xff\"", `"é"`,
	`[]`, `[ ]`, `[,]`, `[1,]`, `[1 2]`, `[1,[2,[3]]]`, `[`, `]`, `[}`, `{}`, `{ }`, `{,}`, `{"a"}`, `{"a":}`,
	`{"a":1,}`, `{"a":1 "b":2}`, `{a:1}`, `{"a":1}}`,
	`{"a":{"b":[{"c":null}]}}`, ` { "a" : [ 1 , { } , [ ] ] } `, "\ufeff{}", `{"a":1}x`, `/**/1`, `'a'`, `[1]]`,
	`{"a":[}`, `{1:2}`,
	`{"key":"a","value":1}`, `{"key":"a","value":{"$binary":"aGk="}}`, `{"key":"a","value":{"$binary":"aGk="},"ttl":1}`,
	`{"key":"\udcff","value":null}`,
	`{"key":"a","value":{"$binary" : "\u0061Gk="} }`, `{"\u0076alue":[1, 2],"key":"\ud83d\ude00"}`,
	`{"key":["x"],"value":{"a": {"b": "c d"}}}`,
}

// checkScanner compares with encoding/json, which has the same grammar.
func checkScanner(t interface {
	Helper()
	Errorf(string, ...any)
}, text []byte) {
	t.Helper()
	end, spaced, err := skipValue(text, skipSpace(text, 0))
	valid := err == nil && skipSpace(text, end) == len(text)
	if err == errTooDeep {
		return
	}
	if valid != json.Valid(text) {
		t.Errorf("%q: valid is %v (%v), encoding/json says %v", text, valid, err, !valid)
		return
	}
	if !valid {
		return
	}
	inner := text[skipSpace(text, 0):end]
	var want bytes.Buffer
	json.Compact(&want, inner)
	if got := AppendCompact(nil, inner); !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%q: compact is %q, want %q", text, got, want.Bytes())
	}
	if spaced != (want.Len() != len(inner)) {
		t.Errorf("%q: spaced is %v", text, spaced)
	}
}

func TestScannerAgreesWithEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, text := range texts {
		checkScanner(t, []byte(text))
	}
	piece := rapid.SampledFrom([]string{"{", "}", "[", "]", ",", ":", " ", "\n", `"a"`, `"b\n"`, "1", "-1.5e3", "true",
		"null", `"`, `\`, "0", "e", `"key"`, `"value"`})
	rapid.Check(t, func(t *rapid.T) {
		var text []byte
		for _, p := range rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces") {
			text = append(text, p...)
		}
		checkScanner(t, text)
	})
}

func FuzzText(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { checkScanner(t, text) })
}

func TestStringsRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.OneOf(
			rapid.SliceOf(rapid.Byte()),
			rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) }),
			rapid.SliceOf(rapid.SampledFrom([]byte("\x80\xc3\xa9\xed\xa0\xb0\xff\\\"u\x00a"))),
		).Draw(t, "key")
		text := AppendString(nil, key)
		if !utf8.Valid(text) || !json.Valid(text) {
			t.Fatalf("%q became %q", key, text)
		}
		if utf8.Valid(key) {
			var s string
			if err := json.Unmarshal(text, &s); err != nil || s != string(key) {
				t.Fatalf("%q became %q, read as %q", key, text, s)
			}
		}
		back, ok := Unquote(bytes.Clone(text), true)
		if !ok || !bytes.Equal(back, key) {
			t.Fatalf("%q became %q and came back as %q", key, text, back)
		}
	})
}

func TestUnescapeAgreesWithEncodingJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var text []byte
		for _, p := range rapid.SliceOf(rapid.SampledFrom([]string{
			`\n`, `\"`, `\\`, `\/`, `\u0041`, `\u20ac`, `\uD83D\uDE00`, "é", "x", `\b\f\r\t`, `\u0000`,
		})).Draw(t, "pieces") {
			text = append(text, p...)
		}
		text = []byte(`"` + string(text) + `"`)
		var want string
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		got, ok := Unquote(bytes.Clone(text), false)
		if !ok || string(got) != want {
			t.Fatalf("%s: got %q, want %q", text, got, want)
		}
	})
}
