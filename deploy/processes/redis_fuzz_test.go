//go:build processes

package processes

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestRedisRandomCommandsAreAnsweredAsByRedis gives the same random commands on few keys to a
// real Redis and to a node, and compares every reply. REDIS_SEED repeats a run, REDIS_COMMANDS
// makes it longer.
func TestRedisRandomCommandsAreAnsweredAsByRedis(t *testing.T) {
	seed, commands := redisSeed(t), 200_000
	if v, err := strconv.Atoi(os.Getenv("REDIS_COMMANDS")); err == nil {
		commands = v
	}
	sameThroughAnyNode(t, func(t *testing.T, address string, passedOn uint64) {
		sameRandomCommands(t, newDice(seed, passedOn), commands/2, 200, startRedis(t), address)
	})
}

// redisSeed draws the seed of a run, or takes the one that is to be repeated.
func redisSeed(t *testing.T) uint64 {
	seed := drawSeed()
	if v, err := strconv.ParseUint(os.Getenv("REDIS_SEED"), 10, 64); err == nil {
		seed = v
	}
	t.Logf("REDIS_SEED=%d", seed)
	return seed
}

// sameThroughAnyNode compares with a node that is alone, and with one of three that passes on what is
// about the partition of {f}: passedOn is 0 or 1.
func sameThroughAnyNode(t *testing.T, compare func(t *testing.T, address string, passedOn uint64),
	settings ...setting) {
	t.Run("a node alone", func(t *testing.T) { compare(t, startOne(t, settings...).resp, 0) })
	t.Run("three nodes, through one that passes on", func(t *testing.T) {
		c := startThree(t, settings...)
		compare(t, c.but(c.leaderOf("{f}"))[0].resp, 1)
	})
}

// drawer draws commands.
type drawer interface {
	some() [][]string // one command, or several that belong together
	inTransaction() bool
	IntN(n int) int
}

// sameRandomCommands compares the replies to commands that come in batches, half of them in each version
// of the protocol.
func sameRandomCommands(t *testing.T, d drawer, commands, most int, redis, address string) {
	real, ours := dialRedis(t, redis), dialRedis(t, address)
	var history [][]string
	apart := time.Duration(0)
	for done, bad, protocol := 0, 0, 2; done < commands && bad < 10; {
		if done >= commands/2 && protocol == 2 && !d.inTransaction() {
			protocol = 3
			real.do([]string{"HELLO", "3"})
			ours.do([]string{"HELLO", "3"})
		}
		batch := drawBatch(d, most)
		began := time.Now()
		want, got := real.do(batch...), ours.do(batch...)
		apart = max(apart, time.Since(began))
		for i, words := range batch {
			history = append(history, words)
			if sameReply(words[0], want[i], got[i], apart) {
				continue
			}
			bad++
			t.Errorf("command %d: %s\nRedis answers %s\n we answer    %s\nbefore it: %s", done+i, brief(words...),
				brief(want[i]), brief(got[i]), about(history, words))
		}
		done += len(batch)
		history = history[max(0, len(history)-4000):]
	}
}

func drawBatch(d drawer, most int) (out [][]string) {
	for n := 1 + d.IntN(most); len(out) < n; {
		out = append(out, d.some()...)
	}
	return out
}

// brief shows words, of long ones the beginning and the length.
func brief(words ...string) string {
	var b strings.Builder
	for _, w := range words {
		if len(w) <= 500 {
			fmt.Fprintf(&b, "%q ", w)
		} else {
			fmt.Fprintf(&b, "%.60q... (%d bytes) ", w, len(w))
		}
	}
	return b.String()
}

// about shows the last commands that have a word in common with one.
func about(history [][]string, words []string) string {
	var b strings.Builder
	shown := 0
	for i := len(history) - 2; i >= 0 && shown < 12; i-- {
		if len(words) == 1 || slices.ContainsFunc(history[i][1:], func(w string) bool {
			return slices.Contains(words[1:], w)
		}) {
			fmt.Fprintf(&b, "\n  %s", brief(history[i]...))
			shown++
		}
	}
	return b.String()
}

// sameReply compares replies. Clocks move between the two servers, apart is how much at most, and sets have no order.
func sameReply(command, want, got string, apart time.Duration) bool {
	if want == got {
		return true
	}
	seconds, ms := int64(apart.Seconds()), apart.Milliseconds()
	tolerance := map[string]int64{
		"TTL": 1 + seconds, "EXPIRETIME": 2 + seconds, "PTTL": 2000 + ms, "PEXPIRETIME": 2000 + ms,
	}
	switch command = strings.ToUpper(command); command {
	case "DBSIZE": // Redis counts keys that have expired until it comes across them
		a, err := strconv.Atoi(strings.TrimPrefix(want, ":"))
		b, err2 := strconv.Atoi(strings.TrimPrefix(got, ":"))
		return err == nil && err2 == nil && b <= a && a-b <= 9
	case "RANDOMKEY":
		return (want == "$nil" || want == "_") == (got == "$nil" || got == "_")
	case "KEYS", "SCAN":
		a, b := replyWords(want), replyWords(got)
		if command == "SCAN" && len(b) > 0 && b[0] != `$"0"` { // a page may end anywhere, as when it took long
			return !slices.ContainsFunc(b[1:], func(key string) bool { return !slices.Contains(a[1:], key) })
		}
		slices.Sort(a)
		slices.Sort(b)
		return slices.Equal(a, b)
	case "EXEC":
		return sameInside(want, got, 2000+ms)
	}
	return near(want, got, tolerance[command])
}

// replyWords are what is in an array and the arrays in it.
func replyWords(reply string) []string {
	words := strings.Fields(reply)
	for i := range words {
		words[i] = strings.Trim(words[i], "[]")
	}
	return slices.DeleteFunc(words, func(w string) bool { return w == "" })
}

func near(want, got string, tolerance int64) bool {
	a, err := strconv.ParseInt(strings.TrimPrefix(want, ":"), 10, 64)
	b, err2 := strconv.ParseInt(strings.TrimPrefix(got, ":"), 10, 64)
	return err == nil && err2 == nil && want[0] == ':' && got[0] == ':' && a > 0 && b > 0 && max(a-b, b-a) <= tolerance
}

// sameInside compares the replies of a transaction, in which some may be times.
func sameInside(want, got string, tolerance int64) bool {
	a, b := strings.Fields(want), strings.Fields(got)
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := strings.Trim(a[i], "[]"), strings.Trim(b[i], "[]")
		if x != y && !near(x, y, tolerance) {
			return false
		}
	}
	return true
}

// dice draws commands.
type dice struct {
	*rand.Rand
	multi bool // between MULTI and its end
	long  int  // values of up to so many bytes are among the others, and are read more often
}

func newDice(seed, series uint64) *dice {
	return &dice{Rand: rand.New(rand.NewPCG(seed+series, 1))}
}

func (d *dice) inTransaction() bool { return d.multi }

func (d *dice) of(words ...string) string { return words[d.IntN(len(words))] }

// tagged draws a key of the one partition that transactions use; key any.
func (d *dice) tagged() string { return "{f}" + d.of("a", "b", "c", "d", "e") }

func (d *dice) key() string {
	if d.multi || d.IntN(3) > 0 {
		return d.tagged()
	}
	return d.of("a", "b", "foo", "bar")
}

// integer and float are never "x", which can make a hexadecimal number of a value.
func (d *dice) integer() string {
	return d.of("0", "1", "-1", "7", "100", "-3", "9223372036854775807", "-9223372036854775808", "9223372036854775806",
		"4611686018427387904",
		strconv.Itoa(d.IntN(1000)-500), strconv.Itoa(d.IntN(1000)-500), "z", "1.5", "")
}

func (d *dice) float() string {
	return d.of("0.1", "-0.1", "1e3", "3.0e-5", "1.25", "-2.5", "10", "0", "123456789.123456789", "1e-10", "5.0E+3",
		"z", "", ".5", "1e15", "-1e15",
		fmt.Sprintf("%.*f", d.IntN(8), d.Float64()*1000-500))
}

func (d *dice) value() string {
	if d.long > 0 && d.IntN(6) == 0 {
		return strings.Repeat("v", d.IntN(d.long+1))
	}
	switch d.IntN(6) {
	case 0:
		return d.integer()
	case 1:
		return d.float()
	case 2:
		return strings.Repeat(d.of("a", "\x00", "\xff", "é"), d.IntN(60))
	case 3:
		return d.of("", "hello", "\x00\x01", "a b", "\r\n", `{"json": true}`)
	}
	return strconv.Itoa(d.IntN(100))
}

func (d *dice) offset() string {
	return d.of("0", "1", "5", "-1", "-5", "100", "-100", "3", "10", "x", strconv.Itoa(d.IntN(40)-20))
}

// seconds is a time to live that will not end during the test, or one that has ended, or none.
func (d *dice) seconds() string {
	return d.of("500", "1000", "2000", "5000", "0", "-1", "x", "1000000")
}

func (d *dice) milliseconds() string {
	return d.of("500000", "1000000", "2000000", "0", "-1", "x", "1000000000")
}

func (d *dice) unix() string {
	return d.of("99999999999", "88888888888", "1", "0", "-1", "77777777777")
}

func (d *dice) unixMilliseconds() string {
	return d.of("99999999999999", "88888888888888", "1", "0", "-1", "77777777777777")
}

// expiry is an option of SET and GETEX.
func (d *dice) expiry() []string {
	switch d.IntN(5) {
	case 0:
		return []string{d.of("EX", "ex"), d.seconds()}
	case 1:
		return []string{"PX", d.milliseconds()}
	case 2:
		return []string{"EXAT", d.unix()}
	case 3:
		return []string{"PXAT", d.unixMilliseconds()}
	}
	return nil
}

// some draws a command, or several that belong together.
func (d *dice) some() [][]string {
	one := func(words ...string) [][]string { return [][]string{words} }
	if d.long > 0 && !d.multi && d.IntN(3) == 0 {
		return one("MGET", d.key(), d.key(), d.key())
	}
	switch d.IntN(46) {
	case 0, 1, 2, 3:
		return one(d.of("GET", "get", "Get"), d.key())
	case 4, 5, 6:
		return one("SET", d.key(), d.value())
	case 7, 8:
		words := append([]string{"SET", d.key(), d.value()}, d.expiry()...)
		for range d.IntN(3) {
			words = append(words, d.of("NX", "XX", "GET", "KEEPTTL", "nx", "xx"))
		}
		return one(words...)
	case 9:
		return one("SETNX", d.key(), d.value())
	case 10:
		return one("SETEX", d.key(), d.seconds(), d.value())
	case 11:
		return one("PSETEX", d.key(), d.milliseconds(), d.value())
	case 12:
		return one("GETSET", d.key(), d.value())
	case 13:
		return one("GETDEL", d.key())
	case 14:
		return one(append([]string{"GETEX", d.key()}, d.expiry()...)...)
	case 15:
		return one("GETEX", d.key(), d.of("PERSIST", "KEEPTTL", "EX"))
	case 16:
		return one("MGET", d.key(), d.key(), d.key())
	case 17:
		return one("MSET", d.key(), d.value(), d.key(), d.value())
	case 18:
		if d.multi {
			return nil // not in transactions
		}
		return one("MSETNX", d.tagged(), d.value(), d.tagged(), d.value())
	case 19, 20:
		return one(d.of("DEL", "UNLINK"), d.key(), d.key())
	case 21:
		return one(d.of("EXISTS", "TOUCH"), d.key(), d.key(), d.key())
	case 22:
		return one(d.of("TYPE", "STRLEN"), d.key())
	case 23, 24:
		return one("APPEND", d.key(), d.value())
	case 25:
		return one(d.of("GETRANGE", "SUBSTR"), d.key(), d.offset(), d.offset())
	case 26:
		return one("SETRANGE", d.key(), d.offset(), d.value())
	case 27, 28:
		return one(d.of("INCR", "DECR"), d.key())
	case 29, 30:
		return one(d.of("INCRBY", "DECRBY"), d.key(), d.integer())
	case 31, 32:
		return one("INCRBYFLOAT", d.key(), d.float())
	case 33:
		return one("EXPIRE", d.key(), d.seconds())
	case 34:
		return one("PEXPIRE", d.key(), d.milliseconds(), d.of("NX", "XX", "xx"))
	case 35:
		return one("EXPIREAT", d.key(), d.unix(), d.of("NX", "XX", "GT", "LT", "gt"))
	case 36:
		return one("PEXPIREAT", d.key(), d.unixMilliseconds(), d.of("XX", "GT"), d.of("LT", "XX", "GT"))
	case 37, 38:
		return one(d.of("TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"), d.key())
	case 39:
		return one("PERSIST", d.key())
	case 40:
		return one(d.of("RENAME", "RENAMENX"), d.tagged(), d.tagged())
	case 41:
		if d.multi {
			return one("PING")
		}
		return one(strings.Fields(d.of("KEYS *", "KEYS {f}[a-c]", "SCAN 0 COUNT 1000", "DBSIZE", "RANDOMKEY"))...)
	case 42:
		if d.multi {
			d.multi = false
			return one(d.of("EXEC", "EXEC", "EXEC", "DISCARD"))
		}
		d.multi = true
		return one("MULTI")
	case 43:
		if d.multi {
			d.multi = false
			return one("EXEC")
		}
		// What was absent when it was watched and is again at EXEC counts as unchanged here.
		key := d.tagged()
		return [][]string{{"SET", key, d.value()}, {"WATCH", key}}
	case 44:
		return one(d.of("UNWATCH", "PING", "NONSENSE", "SET"), "extra")
	}
	return one(d.of("ECHO", "SELECT"), d.of("0", "x"))
}
