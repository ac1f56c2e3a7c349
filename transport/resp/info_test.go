package resp

import (
	"strings"
	"testing"

	"pxkv/node/kv"
)

// redis-cli --stat reads the number of keys from a plain INFO, once a second.
func TestInfoTellsAboutHowManyKeysThereAre(t *testing.T) {
	t.Parallel()
	f := newFake()
	address, s := start(t, f, nil)
	c := dial(t, address)
	if got := c.do("INFO"); !strings.Contains(got, "# Keyspace") || strings.Contains(got, "db0") {
		t.Errorf("of nothing: %s", got)
	}
	c.do("MSET", "a", "1", "b", "2", "c", "3")
	again := func() { s.keys.mu.Lock(); defer s.keys.mu.Unlock(); s.keys.made = s.keys.made.Add(-estimateLives) }
	if got := c.do("INFO"); strings.Contains(got, "db0") {
		t.Errorf("keys are counted again at once: %s", got)
	}
	for _, words := range [][]string{{"INFO"}, {"INFO", "keyspace"}, {"INFO", "default"}} {
		again()
		if got := c.do(words...); !strings.Contains(got, `db0:keys=3,expires=0,avg_ttl=0`) {
			t.Errorf("%v: %s", words, got)
		}
	}
	// What cannot be counted now is as it was; INFO is answered all the same.
	f.mu.Lock()
	f.failing = kv.Errorf(kv.Unavailable, "no leader")
	f.mu.Unlock()
	again()
	if got := c.do("INFO"); !strings.Contains(got, "redis_version") {
		t.Errorf("without a leader: %s", got)
	}
}
