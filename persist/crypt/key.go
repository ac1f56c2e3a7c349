package crypt

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// KeyBytes is the length of a key, an operator's or a data key: AES-256.
const KeyBytes = 32

// Key is an operator's: it wraps data keys.
type Key [KeyBytes]byte

// NewKey draws one.
func NewKey() Key {
	var k Key
	_, _ = rand.Read(k[:]) // never fails, by its documentation
	return k
}

// Text is the key as hexadecimal digits.
func (k Key) Text() string { return hex.EncodeToString(k[:]) }

// String implements fmt.Stringer by what may be seen of it.
func (k Key) String() string { return "key " + k.Fingerprint() }

// GoString implements fmt.GoStringer, likewise.
func (k Key) GoString() string { return k.String() }

// Fingerprint tells keys apart, and nothing about them.
func (k Key) Fingerprint() string {
	sum := sha256.Sum256(append([]byte("pxkv key that wraps data keys\x00"), k[:]...))
	return hex.EncodeToString(sum[:8])
}

// mostKeys in one file: two are enough for a rotation.
const mostKeys = 64

// ParseKeys reads keys, one a line, as 64 hexadecimal digits or as base64 of 32 bytes. Empty lines and what
// follows a # are left out. The first wraps, all unwrap. No key at all is an error. No error repeats what it could
// not read, which may be most of a key.
func ParseKeys(text string) ([]Key, error) {
	var keys []Key
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		k, err := parseKey(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if keys = append(keys, k); len(keys) > mostKeys {
			return nil, fmt.Errorf("more than %d keys", mostKeys)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key; \"pxkv keys new\" makes one")
	}
	return keys, nil
}

func parseKey(s string) (k Key, err error) {
	b, err := hex.DecodeString(s)
	if err != nil {
		if b, err = base64.StdEncoding.DecodeString(s); err != nil {
			b, err = base64.RawStdEncoding.DecodeString(s)
		}
	}
	switch {
	case err != nil:
		return k, errors.New("this is no key: it must be 64 hexadecimal digits, or base64 of 32 bytes")
	case len(b) != KeyBytes:
		return k, fmt.Errorf("this key has %d bytes, it must have %d (64 hexadecimal digits, or base64)",
			len(b), KeyBytes)
	}
	return Key(b), nil
}
