//go:build processes

package processes

import (
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestRedisCommandsAreAnsweredAsByRedis(t *testing.T) {
	real, ours := dialRedis(t, startRedis(t)), dialRedis(t, startOne(t).resp)
	sameChosenCommands(t, real, ours)
	// What is listed as a difference must be one, or docs/api.md says too much.
	for name, script := range redisDifferences {
		t.Run(name, func(t *testing.T) {
			prepareRedis(t, "2", real, ours)
			differs := false
			for line := range redisLines(script) {
				words := redisWords(t, line)
				want, got := real.do(words)[0], ours.do(words)[0]
				differs = differs || got != want
			}
			if !differs {
				t.Error("both answer the same")
			}
		})
	}
}

// usuallyApart is how long both answers to a command may take together if times to live in them are to be the same:
// they are rounded to seconds.
const usuallyApart = 300 * time.Millisecond

func sameChosenCommands(t *testing.T, real, ours *redisClient) {
	t.Helper()
	for name, script := range redisScripts {
		t.Run(name, func(t *testing.T) {
			prepareRedis(t, map[bool]string{true: "3", false: "2"}[name == "RESP3"], real, ours)
			apart := time.Duration(0)
			for line := range redisLines(script) {
				words, began := redisWords(t, line), time.Now()
				want, got := real.do(words)[0], ours.do(words)[0]
				apart = max(apart, time.Since(began))
				if got != want && (apart < usuallyApart || !sameReply(words[0], want, got, apart)) {
					t.Errorf("%s\nRedis answers %s\n we answer    %s", line, want, got)
				}
			}
		})
	}
}

// prepareRedis makes servers empty, and connections new.
func prepareRedis(t *testing.T, protocol string, clients ...*redisClient) {
	t.Helper()
	for _, c := range clients {
		c.t = t
		c.do([]string{"RESET"}, []string{"FLUSHALL"}, []string{"HELLO", protocol})
	}
}

// redisLines yields the commands of a script.
func redisLines(script string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.Lines(strings.TrimLeft(script, "\n")) {
			if !yield(strings.Trim(line, "\t\n")) {
				return
			}
		}
	}
}

// TestRedisTableIsThatOfRedis compares what COMMAND says of each command: arity, flags, keys.
func TestRedisTableIsThatOfRedis(t *testing.T) {
	real, ours := dialRedis(t, startRedis(t)), dialRedis(t, startOne(t).resp)
	head := regexp.MustCompile(`^\[\[\$"([a-z]+)" (:-?[0-9]+) \[([^]]*)\] (:-?[0-9]+ :-?[0-9]+ :-?[0-9]+) `)
	names := regexp.MustCompile(`\[\$"([a-z]+)" :-?[0-9]+ \[`).FindAllStringSubmatch(ours.do([]string{"COMMAND"})[0],
		-1)
	if len(names) < 60 {
		t.Fatalf("only %d commands", len(names))
	}
	for _, name := range names {
		info := []string{"COMMAND", "INFO", name[1]}
		want, got := head.FindStringSubmatch(real.do(info)[0]), head.FindStringSubmatch(ours.do(info)[0])
		if want == nil || got == nil {
			t.Fatalf("%s: cannot read what COMMAND INFO says", name[1])
		}
		for _, m := range [][]string{want, got} {
			flags := strings.Fields(m[3])
			slices.Sort(flags)
			m[3] = strings.Join(slices.DeleteFunc(flags, func(f string) bool { return f == "+movablekeys" }), " ")
		}
		if !slices.Equal(want[1:], got[1:]) {
			t.Errorf("Redis says %q\n  we say   %q", want[1:], got[1:])
		}
	}
}

// TestRedisClientInfoHasEveryField compares the fields of CLIENT INFO: libraries fail without one.
func TestRedisClientInfoHasEveryField(t *testing.T) {
	real, ours := dialRedis(t, startRedis(t)), dialRedis(t, startOne(t).resp)
	info := []string{"CLIENT", "INFO"}
	got := ours.do(info)[0]
	fields := strings.Fields(strings.Trim(real.do(info)[0], `$"`))
	if len(fields) < 20 {
		t.Fatalf("only %d fields", len(fields))
	}
	for _, field := range fields {
		if name, _, ok := strings.Cut(field, "="); ok && !strings.Contains(got, name+"=") {
			t.Errorf("there is no %s in %s", name, got)
		}
	}
}

// redisWords splits a line of a script.
func redisWords(t *testing.T, line string) (words []string) {
	t.Helper()
	for line = strings.TrimLeft(line, " "); line != ""; line = strings.TrimLeft(line, " ") {
		if line[0] != '"' {
			var word string
			word, line, _ = strings.Cut(line, " ")
			words = append(words, word)
			continue
		}
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		word, _ := strconv.Unquote(quoted)
		words, line = append(words, word), line[len(quoted):]
	}
	return words
}
