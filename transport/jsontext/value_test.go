package jsontext

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pxkv/node/kv"
)

// What is written of a key and its value is read again as the same, in one piece and in many.
func TestPairsRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOf(rapid.Byte()).Draw(t, "key")
		times := rapid.SampledFrom([]int{1, 1, 20_000}).Draw(t, "times")
		value := rapid.OneOf(
			rapid.Map(rapid.String(), func(s string) kv.Value {
				return kv.Value{Kind: kv.String, Data: []byte(strings.Repeat(s, times))}
			}),
			rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) kv.Value {
				return kv.Value{Kind: kv.Binary, Data: bytes.Repeat(b, times)}
			}),
			rapid.Map(rapid.SampledFrom([]string{"1.50,", `{"b":[1,{}],"a":null},`, "true,"}), func(s string) kv.Value {
				return kv.Value{Kind: kv.JSON, Data: []byte("[" + strings.Repeat(s, times) + "0]")}
			}),
		).Draw(t, "value")
		var sent bytes.Buffer
		w := Writer{To: &sent}
		w.Buf = append(w.Buf, '{')
		w.Key(key)
		w.Buf = append(w.Buf, ':')
		w.Value(&value)
		w.Buf = append(w.Buf, '}')
		w.Flush()
		text := sent.Bytes()
		var at Span
		object, err := Document(text, func(name []byte, value Span) {
			if !bytes.Equal(name, key) {
				t.Fatalf("%q is told as %q", key, name)
			}
			at = value
		})
		if err != nil || !object {
			t.Fatalf("%.100q: object %t, %v", text, object, err)
		}
		back, err := Value(text, at)
		if err != nil || back.Kind != value.Kind || !bytes.Equal(back.Data, value.Data) {
			t.Fatalf("%.100q came back as %v %.100q, %v", text, back.Kind, back.Data, err)
		}
	})
}

func TestMembersAndElements(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		` { "a" : 1 , "\u0061":[ 2 , {} , "x,]" ] } `: "a=1;a=[ 2 , {} , \"x,]\" ](2|{}|\"x,]\")",
		`{}`: "", `{"a":[]}`: "a=[]()", `[1]`: "other", `"a"`: "other", ` 1 `: "other",
	} {
		var got []string
		object, err := Document([]byte(text), func(name []byte, at Span) {
			said := fmt.Sprintf("%s=%s", name, at.Of([]byte(text)))
			if text[at.Begin] == '[' {
				var elements []string
				if err := Elements([]byte(text), at, func(begin int) error {
					end, _, err := skipValue([]byte(text), begin)
					elements = append(elements, text[begin:end])
					return err
				}); err != nil {
					t.Errorf("%q: %v", text, err)
				}
				said += "(" + strings.Join(elements, "|") + ")"
			}
			got = append(got, said)
		})
		if !object {
			got = append(got, "other")
		}
		if strings.Join(got, ";") != want || err != nil {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	stop := errors.New("enough")
	if err := Elements([]byte("[1,2]"), Span{Begin: 0, End: 5}, func(int) error { return stop }); err != stop {
		t.Errorf("the caller's error became %v", err)
	}
}

// A member is what its name says, however that is written.
func TestAnEscapedNameIsTheSameName(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"$binary":"QQ=="}`, `{"\u0024binary":"QQ=="}`, `{"$binar\u0079":"\u0051Q=="}`} {
		v, err := Value([]byte(text), Span{Begin: 0, End: len(text)})
		if err != nil || v.Kind != kv.Binary || string(v.Data) != "A" {
			t.Errorf("%s is %s %q, %v", text, v.Kind, v.Data, err)
		}
	}
}

// What is no JSON is none as a document, and why a value is not taken is told.
func TestRefusedTexts(t *testing.T) {
	t.Parallel()
	ignore := func([]byte, Span) {}
	for _, text := range []string{`{"a":1} x`, `[1] 2`, "{\"a\":\"\xff\"}", `{"a":1`, `{"a" 1}`} {
		if _, err := Document([]byte(text), ignore); err != ErrSyntax {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := Document([]byte(strings.Repeat("[", maxDepth+1)), ignore); err != errTooDeep {
		t.Error(err)
	}
	for text, want := range map[string]error{
		`"\ud800"`: ErrHalfSurrogate, `"\udcff"`: ErrHalfSurrogate, `{"$binary":5}`: ErrBinary,
		`{"$binary":"a"}`: ErrBinary, `{"$binary":"QR=="}`: ErrBinary, `{"$binary":"QQ==\n"}`: ErrBinary,
		`{"$binary":"QQ=\u000a="}`: ErrBinary, `{"$binary":"QQ=="}`: nil,
		`{"$binary":"a","b":1}`: nil, `["\ud800"]`: nil,
		`{"\u0024binary":5}`: ErrBinary, `{"$bin\u0061ry":"QR=="}`: ErrBinary,
		`{"\u0024\u0062\u0069\u006e\u0061\u0072\u0079":"a"}`: ErrBinary, `{"\u0024binary":"a","b":1}`: nil,
		`{"\u0024binaries":"a"}`: nil, `{"a\":":"a"}`: nil, `{}`: nil, `{"\\":1}`: nil, `{"a":"\\"}`: nil,
		`{"":{"\u0024binary":5}}`: nil,
	} {
		if _, err := Value([]byte(text), Span{Begin: 0, End: len(text)}); err != want {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}
