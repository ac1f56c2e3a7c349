package httpapi

import (
	"encoding/base64"

	"pxkv/node/kv"
)

// cursorVersion is the first byte of every cursor, so that a later format can be told
// from this one.
const cursorVersion = 1

// cursorText makes the cursor of a page whose next item has this key: URL-safe base64 of
// the version byte and the key.
func cursorText(next []byte) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{cursorVersion}, next...))
}

// parseCursor returns the key at which the next page begins.
func parseCursor(text string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < 2 || len(b) > 1+kv.MaxKeyBytes || b[0] != cursorVersion {
		return nil, invalid("Parameter cursor: %s is not a cursor from X-Pxkv-Cursor", quoted(text))
	}
	return b[1:], nil
}
