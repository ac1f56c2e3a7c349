package httpapi

import (
	"bytes"
	"net/url"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	_ "pxkv/deploy/properties"
)

func TestCursors(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 1, 4096).Draw(t, "key")
		text := cursorText(key)
		back, err := parseCursor(text)
		if err != nil || !bytes.Equal(back, key) {
			t.Fatalf("%q became %q and came back as %q: %v", key, text, back, err)
		}
		if unescaped, _ := url.QueryUnescape(text); unescaped != text {
			t.Fatalf("%q is not URL-safe", text)
		}
	})
}

func TestQuotedShortens(t *testing.T) {
	t.Parallel()
	if got := quoted(string(make([]byte, 1000))); len(got) > 300 {
		t.Errorf("%d bytes", len(got))
	}
	if got := quoted("a\"b"); got != strconv.Quote("a\"b") {
		t.Error(got)
	}
}
