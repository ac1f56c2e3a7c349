package crypt

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"pxkv/persist/formattest"
)

// TestFormat holds FORMAT.md to the code.
func TestFormat(t *testing.T) {
	t.Parallel()
	zeros := bytes.NewReader(make([]byte, 100))
	k, err := newDataKey(1, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), zeros)
	must(t, err)
	st := stream{key: k}
	for i := range st.first {
		st.first[i] = byte(i)
	}
	formattest.Hold(t, "../FORMAT.md", "crypt", map[string][]byte{"crypt-header": st.header()})

	var operators Key
	for i := range operators {
		operators[i] = byte(i)
	}
	text, err := (&ring{keys: []*dataKey{k}}).seal(operators, zeros)
	must(t, err)
	doc, err := os.ReadFile("../FORMAT.md")
	must(t, err)
	if !strings.Contains(string(doc), "```json\n"+string(text)+"```") {
		t.Errorf("FORMAT.md has no\n%s", text)
	}
	r, err := unseal(text, []Key{operators})
	if err != nil || len(r.keys) != 1 || r.current().key != k.key {
		t.Errorf("%+v, %v", r, err)
	}
}
