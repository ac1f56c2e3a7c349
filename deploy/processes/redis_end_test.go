//go:build processes

package processes

import (
	"fmt"
	"io"
	"testing"
)

// TestRedisQuitIsAnsweredAsByRedis: what came before QUIT is answered, QUIT too, and then the
// connection ends, whatever came behind.
func TestRedisQuitIsAnsweredAsByRedis(t *testing.T) {
	for _, words := range [][]string{{"QUIT"}, {"quit", "now"}} {
		var answers []string
		for _, address := range []string{startRedis(t), startOne(t).resp} {
			c := dialRedis(t, address)
			if _, err := io.WriteString(c.net, encodeRedis([][]string{
				{"SET", "a", "1"}, {"GET", "a"}, words, {"GET", "a"},
			})); err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(c.in)
			if err != nil {
				t.Fatal(err)
			}
			answers = append(answers, string(b))
		}
		if answers[0] != answers[1] {
			t.Errorf("%q: Redis answers %q, we answer %q", words, answers[0], answers[1])
		}
	}
}

// TestRedisKeySlotsAreThoseOfRedis compares CLUSTER KEYSLOT, and its argument check, with a Redis
// that is a cluster node.
func TestRedisKeySlotsAreThoseOfRedis(t *testing.T) {
	real, ours := dialRedis(t, startRedis(t, "--cluster-enabled", "yes")), dialRedis(t, startOne(t).resp)
	commands := [][]string{{"CLUSTER", "KEYSLOT"}, {"CLUSTER", "KEYSLOT", "a", "b"}, {"CLUSTER", "NOTHING"},
		{"CLUSTER", "COUNTKEYSINSLOT", "-1"}, {"CLUSTER", "COUNTKEYSINSLOT", "x"}, {"READWRITE"}, {"READONLY"}}
	for i := range 500 {
		for _, key := range []string{"key%d", "{tag%d}.a", "a{tag%d}", "{}%d", "{%d", "a}{%d}{b}"} {
			commands = append(commands, []string{"CLUSTER", "KEYSLOT", fmt.Sprintf(key, i)})
		}
	}
	want, got := real.do(commands...), ours.do(commands...)
	for i := range commands {
		if want[i] != got[i] {
			t.Errorf("%q: Redis answers %s, we answer %s", commands[i], want[i], got[i])
		}
	}
}
