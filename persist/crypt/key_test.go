package crypt

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
)

func TestKeysAreRead(t *testing.T) {
	t.Parallel()
	a, b := NewKey(), NewKey()
	text := "# keys\n\n" + a.Text() + " # the new one\r\n  " + base64.StdEncoding.EncodeToString(b[:]) + "\n" +
		base64.RawStdEncoding.EncodeToString(a[:])
	keys, err := ParseKeys(text)
	if err != nil || len(keys) != 3 || keys[0] != a || keys[1] != b || keys[2] != a {
		t.Fatalf("%v, %v", keys, err)
	}
	if a.Fingerprint() == b.Fingerprint() || strings.Contains(a.Text(), a.Fingerprint()) {
		t.Error("a fingerprint tells no keys apart, or a part of one")
	}
	for what, text := range map[string]string{
		"there is no key":          "# nothing\n\n",
		"has 31 bytes, it must":    a.Text()[:62],
		"has 33 bytes, it must":    a.Text() + "00",
		"line 2: this key has 47 ": a.Text() + "\n" + a.Text()[:63],
		"line 1: this is no key:":  "correct horse battery staple",
		"more than 64 keys":        strings.Repeat(a.Text()+"\n", 65),
		"line 1: this key has 48 ": base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 48)),
	} {
		_, err := ParseKeys(text)
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("want %q, got %v", what, err)
		}
		if err != nil && strings.Contains(err.Error(), a.Text()[:16]) {
			t.Errorf("an error shows a key: %v", err)
		}
	}
}
