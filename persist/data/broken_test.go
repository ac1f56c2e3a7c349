package data

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/disktest"
)

// TestCorruptionFoundByAReadIsTheEnd damages what a store has read before.
func TestCorruptionFoundByAReadIsTheEnd(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		what       string
		key, value []byte
		read       func(*Store) error
	}{
		{"value", appendDataKey(nil, 1, []byte("key0007")), []byte{99}, func(s *Store) error {
			_, _, err := s.Get(1, []byte("key0007"))
			return err
		}},
		{"value in a list", appendDataKey(nil, 1, []byte("key0007")), []byte{1, 9}, func(s *Store) error {
			_, _, err := s.Scan(1, Query{})
			return err
		}},
		{"applied state", kindKey(1, kindApplied), []byte{1}, func(s *Store) error {
			_, err := s.NewView(1)
			return err
		}},
	} {
		s := openWith(t, vfs.NewMem(), options{waits: true, disk: watched{Fatal: disktest.Fatal}})
		filled(t, s, 1)
		s.drainAll()
		must(t, s.pebble.Set(tc.key, tc.value, pebble.NoSync))
		var err error
		text := disktest.LastWords(func() { err = tc.read(s) })
		if !strings.Contains(text, "join as a new node") || !strings.Contains(text, "partition 1") {
			t.Errorf("%s: error %v, last words %q", tc.what, err, text)
		}
	}
}
