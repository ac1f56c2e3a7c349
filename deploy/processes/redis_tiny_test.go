//go:build processes

package processes

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tiny makes a node one whose limits are so small that it cuts work into pieces all the time.
func tiny(t *testing.T) setting {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pxkv")
	if err := build(path, "-tags=tinylimits"); err != nil {
		t.Fatal(err)
	}
	return func(n *node) {
		n.program = path
		flags("--max-value-bytes", "16384")(n)
	}
}

// TestRedisTinyLimitsChangeNoAnswer compares nodes that cut into pieces all the time with a real Redis: with
// the random commands, and some longer values, and with the chosen ones.
func TestRedisTinyLimitsChangeNoAnswer(t *testing.T) {
	limits, seed := tiny(t), redisSeed(t)
	sameThroughAnyNode(t, func(t *testing.T, address string, passedOn uint64) {
		d := newDice(seed, passedOn)
		d.long = 200
		redis := startRedis(t)
		sameRandomCommands(t, d, 10_000, 200, redis, address)
		want, got := scanned(t, redis), scanned(t, address)
		if !slices.Equal(want, got) {
			t.Errorf("SCAN finds %q with Redis, and %q here", want, got)
		}
	}, limits)
	t.Run("chosen commands", func(t *testing.T) {
		sameChosenCommands(t, dialRedis(t, startRedis(t)), dialRedis(t, startOne(t, limits).resp))
	})
}

// scanned returns what SCAN finds, page by page.
func scanned(t *testing.T, address string) (keys []string) {
	t.Helper()
	c := dialRedis(t, address)
	for cursor := "0"; ; {
		reply := c.do([]string{"SCAN", cursor, "COUNT", "3"})[0]
		words := replyWords(reply)
		if len(words) == 0 || len(keys) > 10_000 {
			t.Fatalf("SCAN %s answers %s after %d keys", cursor, reply, len(keys))
		}
		keys = append(keys, words[1:]...)
		if cursor = strings.Trim(words[0], `$"`); cursor == "0" {
			slices.Sort(keys)
			return slices.Compact(keys)
		}
	}
}
