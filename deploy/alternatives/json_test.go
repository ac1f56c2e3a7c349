package alternatives

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pxkv/node/kv"
	"pxkv/transport/jsontext"
)

// A pair as PUT /kv gets it, with a value that is text and with one that is an object.
var pairs = map[string]string{
	"text":   fmt.Sprintf(`{"key":"user:1234","value":"%s"}`, strings.Repeat("v", 256)),
	"object": `{"key": "user:1234", "value": {"name": "Ada", "age": 36, "tags": ["a", "b"], "big": 12345678901234567890}}`,
}

// BenchmarkReadPair decodes a pair. encoding/json leaves the value as it is (json.RawMessage), and decodes it once more
// when it is text.
func BenchmarkReadPair(b *testing.B) {
	for name, text := range pairs {
		b.Run(name+"/encoding-json", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var pair struct {
					Key   string
					Value json.RawMessage
				}
				err := json.Unmarshal([]byte(text), &pair)
				if err == nil && pair.Value[0] == '"' {
					var s string
					err = json.Unmarshal(pair.Value, &s)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/jsontext", func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, len(text))
			for b.Loop() {
				copy(buf, text)
				var key, value jsontext.Span
				_, err := jsontext.Document(buf, func(name []byte, at jsontext.Span) {
					switch string(name) {
					case "key":
						key = at
					case "value":
						value = at
					}
				})
				if err == nil {
					_, err = jsontext.Value(buf, value)
				}
				if _, ok := jsontext.Unquote(key.Of(buf), true); err != nil || !ok {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkWritePair encodes what GET /kv answers.
func BenchmarkWritePair(b *testing.B) {
	text := strings.Repeat("v", 256)
	v := kv.Value{Kind: kv.String, Data: []byte(text)}
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(map[string]string{"user:1234": text}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("jsontext", func(b *testing.B) {
		b.ReportAllocs()
		w := jsontext.Writer{}
		key := []byte("user:1234")
		for b.Loop() {
			w.Buf = append(w.Buf[:0], '{')
			w.Key(key)
			w.Buf = append(w.Buf, ':')
			w.Value(&v)
			w.Buf = append(w.Buf, '}')
		}
	})
}
