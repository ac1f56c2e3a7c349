package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	_ "pxkv/deploy/properties"
)

// Every key has a JSON text of its own, which is plain JSON for text.
func TestKeyTextLosesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := strings.Join(rapid.SliceOf(rapid.OneOf(
			rapid.SampledFrom([]string{
				"a", "\xff", "\xed\xa0\x80", "\u2028<&>", "\U0001F600", "\\udcff", "\\", "\"", "\xc3", "\x00\x1f\x7f",
			}),
			rapid.String(),
		)).Draw(t, "key"), "")
		text, err := keyText(key).MarshalJSON()
		if err != nil || !json.Valid(text) {
			t.Fatalf("%q as JSON: %s, %v", key, text, err)
		}
		if back, err := parseKeyText(text); err != nil || back != key {
			t.Errorf("%q, as %s, is read as %q, %v", key, text, back, err)
		}
		if utf8.ValidString(key) {
			var plain string
			if json.Unmarshal(text, &plain) != nil || plain != key {
				t.Errorf("%q, as %s, is %q to others", key, text, plain)
			}
		}
	})
}
