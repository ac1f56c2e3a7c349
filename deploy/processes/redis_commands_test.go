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

// redisScripts are commands that are given to a real Redis and to a node, which must answer the
// same. Words are separated by spaces; "..." holds what Go strings do. Both servers are empty at
// the beginning of each script.
var redisScripts = map[string]string{
	"strings": `
		GET a
		SET a 1
		GET a
		SET a "\x00\xff binary"
		GET a
		SET a ""
		GET a
		STRLEN a
		STRLEN none
		SET a 1 NX
		SET b 1 NX
		SET b 2 XX
		SET c 2 XX
		GET c
		SET b 3 GET
		SET d 3 GET
		SET d 4 NX GET
		SET e 4 NX GET
		SET d 5 XX GET
		SET f 5 XX GET
		GET f
		SET a 1 EX 100
		TTL a
		SET a 2 KEEPTTL
		TTL a
		SET a 3
		TTL a
		SET a 4 PX 100000
		TTL a
		SET a 5 EXAT 99999999999
		TTL b
		EXPIRETIME a
		PEXPIRETIME a
		SET a 6 PXAT 99999999999999
		PEXPIRETIME a
		SET a 7 EXAT 1
		GET a
		EXISTS a
		SET a 1 EX
		SET a 1 EX x
		SET a 1 EX 0
		SET a 1 EX -1
		SET a 1 PX 0
		SET a 1 EX 9223372036854775807
		SET a 1 PX 9223372036854775807
		SET a 1 EXAT 0
		SET a 1 EX 10 PX 10
		SET a 1 EX 10 KEEPTTL
		SET a 1 KEEPTTL EX 10
		SET a 1 NX XX
		SET a 1 NONSENSE
		SET a 1 PERSIST
		SET a 1 EX 10 EX 20
		TTL a
		SET a
		SET
		get a
		sEt a x nx get
		SETNX n 1
		SETNX n 2
		GET n
		SETEX s 100 v
		TTL s
		SETEX s 0 v
		SETEX s -5 v
		SETEX s x v
		SETEX s 9223372036854775807 v
		PSETEX s 100000 v
		TTL s
		PSETEX s 0 v
		GETSET s w
		TTL s
		GETSET none w
		GET none
		GETDEL none
		GETDEL none
		GET none
		GETDEL
		MSET a 1 b 2 c 3
		MGET a b none c a
		MSET a
		MSET a 1 b
		MGET
		MSETNX {t}x 1 {t}y 2
		MSETNX {t}y 3 {t}z 4
		MGET {t}x {t}y {t}z
		MSETNX {t}y
		MSETNX {t}q 1 {t}q 2
		GET {t}q`,
	"getex": `
		GETEX none
		GETEX none EX 0
		SET a v
		GETEX a
		TTL a
		GETEX a EX 100
		TTL a
		GETEX a PERSIST
		TTL a
		GETEX a PX 100000
		TTL a
		GETEX a EXAT 99999999999
		EXPIRETIME a
		GETEX a PXAT 99999999999999
		PEXPIRETIME a
		GETEX a EX 0
		GETEX a EX x
		GETEX a EX
		GETEX a EX 1 PX 1
		GETEX a PERSIST EX 1
		GETEX a EX 1 PERSIST
		GETEX a KEEPTTL
		GETEX a NX
		GETEX a PERSIST PERSIST
		GETEX a EXAT 1
		GET a
		GETEX`,
	"ranges": `
		APPEND a hello
		APPEND a " world"
		GET a
		APPEND a ""
		GETRANGE a 0 4
		GETRANGE a -5 -1
		GETRANGE a 6 100
		GETRANGE a 100 200
		GETRANGE a -100 2
		GETRANGE a -1 -5
		GETRANGE a 3 1
		GETRANGE a 0 -100
		GETRANGE a 9223372036854775807 -9223372036854775808
		SUBSTR a 0 0
		GETRANGE none 0 -1
		GETRANGE a x 1
		GETRANGE a 0 1.5
		GETRANGE a 0
		SETRANGE a 6 there
		GET a
		SETRANGE a 20 x
		GET a
		SETRANGE none 0 ""
		EXISTS none
		SETRANGE none 3 x
		GET none
		SETRANGE a 0 ""
		SETRANGE a -1 x
		SETRANGE a x x
		SETRANGE a 600000000 x
		SETRANGE a 600000000 ""
		SETRANGE a 9223372036854775807 x
		APPEND a
		SET t v EX 100
		APPEND t w
		TTL t
		SETRANGE t 0 u
		TTL t`,
	"counters": `
		INCR a
		INCR a
		GET a
		INCRBY a 40
		DECR a
		DECRBY a 100
		DECRBY a -3
		INCRBY a x
		INCRBY a 1.5
		INCRBY a
		INCRBY a " 1"
		INCRBY a +1
		INCRBY a 01
		INCRBY a -0
		DECRBY a x
		DECRBY a -9223372036854775808
		SET a 9223372036854775807
		INCR a
		INCRBY a 1
		DECR a
		SET a -9223372036854775808
		DECR a
		DECRBY a 1
		INCRBY a -1
		SET a x
		INCR a
		SET a ""
		INCR a
		SET a " 1"
		INCR a
		SET a 1.0
		INCR a
		SET a 01
		INCR a
		SET a 9223372036854775808
		INCR a
		SET t 5 EX 100
		INCR t
		TTL t
		INCRBYFLOAT f 0.1
		INCRBYFLOAT f 0.2
		INCRBYFLOAT f 1e3
		INCRBYFLOAT f -1000.3
		INCRBYFLOAT f 3.0e-5
		INCRBYFLOAT f 5.0E+3
		INCRBYFLOAT f x
		INCRBYFLOAT f ""
		INCRBYFLOAT f " 1"
		INCRBYFLOAT f "1 "
		INCRBYFLOAT f nan
		INCRBYFLOAT f inf
		INCRBYFLOAT f -inf
		INCRBYFLOAT f .5
		INCRBYFLOAT f 5.
		INCRBYFLOAT f +5
		INCRBYFLOAT f
		SET g 10
		INCRBYFLOAT g 1
		INCRBYFLOAT g 0.5
		INCR g
		SET g x
		INCRBYFLOAT g 1
		SET g ""
		INCRBYFLOAT g 1
		SET g 1e2
		INCRBYFLOAT g 1
		SET g 3.14159265358979323846
		INCRBYFLOAT g 0
		SET g 1e17
		INCRBYFLOAT g 1.123456789
		SET g 0.1
		INCRBYFLOAT g -0.1`,
	"expiry": `
		EXPIRE none 10
		PERSIST none
		TTL none
		PTTL none
		EXPIRETIME none
		PEXPIRETIME none
		SET a 1
		TTL a
		PTTL a
		EXPIRETIME a
		PEXPIRETIME a
		PERSIST a
		EXPIRE a 100
		TTL a
		PERSIST a
		PERSIST a
		TTL a
		EXPIRE a 100 NX
		EXPIRE a 200 NX
		TTL a
		EXPIRE a 300 XX
		TTL a
		EXPIRE a 200 GT
		EXPIRE a 400 GT
		TTL a
		EXPIRE a 500 LT
		EXPIRE a 100 LT
		TTL a
		PERSIST a
		EXPIRE a 100 XX
		EXPIRE a 100 GT
		EXPIRE a 100 XX LT
		EXPIRE a 100 LT
		TTL a
		EXPIRE a 50 XX LT
		EXPIRE a 60 XX GT
		TTL a
		EXPIRE a 10 NX XX
		EXPIRE a 10 NX GT
		EXPIRE a 10 GT LT
		EXPIRE a 10 NONSENSE
		EXPIRE a x
		EXPIRE a x NONSENSE
		EXPIRE a 9223372036854775807
		EXPIRE a -9223372036854775808
		PEXPIRE a 9223372036854775807
		PEXPIREAT a 9223372036854775807
		PEXPIRETIME a
		EXPIREAT a 9223372036854775
		EXPIREAT a 99999999999
		EXPIRETIME a
		PEXPIREAT a 99999999999999
		PEXPIRETIME a
		EXPIRE a 0
		EXISTS a
		SET a 1
		EXPIRE a -1
		EXISTS a
		SET a 1
		EXPIREAT a 1
		EXISTS a
		SET a 1
		PEXPIRE a -9223372036854775808
		EXISTS a
		EXPIRE a
		EXPIRE`,
	"keys": `
		DEL a
		MSET a 1 b 2 c 3
		EXISTS a b none a
		TOUCH a b none
		TYPE a
		TYPE none
		DEL a a none
		UNLINK b c
		EXISTS
		DEL
		SET {t}a 1 EX 100
		RENAME {t}a {t}b
		GET {t}b
		TTL {t}b
		RENAME {t}a {t}b
		RENAMENX {t}a {t}b
		SET {t}c 2
		RENAMENX {t}c {t}b
		RENAMENX {t}c {t}d
		RENAME {t}d {t}b
		TTL {t}b
		GET {t}b
		RENAME {t}b {t}b
		RENAMENX {t}b {t}b
		RENAME {t}b
		OBJECT ENCODING none
		SET e 123
		OBJECT ENCODING e
		SET e short
		OBJECT ENCODING e
		SET e 012345678901234567890123456789012345678901234
		OBJECT ENCODING e
		OBJECT ENCODING
		OBJECT NONSENSE e
		OBJECT
		MEMORY USAGE none
		MEMORY USAGE e SAMPLES x
		MEMORY USAGE e SAMPLES -1
		MEMORY USAGE e NONSENSE
		MEMORY NONSENSE`,
	"scans": `
		SCAN 0
		KEYS *
		DBSIZE
		RANDOMKEY
		SET user:1 a
		RANDOMKEY
		SCAN 0
		SCAN 0 COUNT 100
		SCAN 0 MATCH user:*
		SCAN 0 MATCH nobody:*
		SCAN 0 TYPE string
		SCAN 0 TYPE STRING MATCH u*
		SCAN 0 TYPE hash
		SCAN 0 COUNT 0
		SCAN 0 COUNT -1
		SCAN 0 COUNT x
		SCAN 0 COUNT
		SCAN 0 NONSENSE 1
		SCAN x
		SCAN ""
		SCAN " 0"
		SCAN -x
		SCAN 99999999999999999999
		SCAN
		KEYS user:1
		KEYS user:?
		KEYS user:[0-9]
		KEYS user:[^1]
		KEYS user:[
		KEYS user:[1
		KEYS us\\er:1
		KEYS [u]*[!-~]
		KEYS ""
		KEYS
		DBSIZE x
		DBSIZE
		FLUSHALL NONSENSE
		FLUSHDB ASYNC NONSENSE
		FLUSHDB
		DBSIZE
		FLUSHALL SYNC
		FLUSHALL ASYNC`,
	"transactions": `
		EXEC
		DISCARD
		MULTI
		EXEC
		MULTI
		SET {t}a 1
		GET {t}a
		INCR {t}a
		GET {t}none
		INCRBY {t}a x
		APPEND {t}a y
		INCR {t}a
		MGET {t}a {t}none
		MSET {t}b 1 {t}c 2
		DEL {t}b {t}none
		EXISTS {t}a {t}c
		SET {t}d 1 EX 100
		TTL {t}d
		EXPIRE {t}a 100 XX
		STRLEN {t}a
		GETRANGE {t}a 0 0
		GETDEL {t}a
		RENAME {t}c {t}e
		RENAME {t}c {t}e
		TYPE {t}e
		PING
		ECHO x
		SELECT 0
		EXEC
		GET {t}d
		MULTI
		MULTI
		NONSENSE
		EXEC
		MULTI
		GET
		SET {t}a 5
		EXEC
		GET {t}a
		MULTI
		SET {t}a 6
		DISCARD
		GET {t}a
		WATCH {t}a {t}w
		MULTI
		SET {t}a 7
		EXEC
		WATCH {t}a
		SET {t}a 8
		MULTI
		SET {t}a 9
		EXEC
		GET {t}a
		WATCH {t}new
		SET {t}new 1
		UNWATCH
		MULTI
		SET {t}a 10
		UNWATCH
		EXEC
		WATCH {t}a
		DEL {t}a
		MULTI
		PING
		EXEC
		MULTI
		WATCH {t}a
		EXEC
		MULTI
		RESET
		EXEC
		WATCH
		EXEC x
		MULTI x
		DISCARD x`,
	"connections": `
		PING
		PING hello
		PING a b
		ECHO hello
		ECHO
		SELECT 0
		SELECT x
		SELECT 100000
		SELECT
		AUTH x
		AUTH default x
		AUTH nobody x
		AUTH a b c
		AUTH
		CLIENT GETNAME
		CLIENT SETNAME me
		CLIENT GETNAME
		CLIENT SETNAME "a b"
		CLIENT SETNAME ""
		CLIENT GETNAME
		CLIENT SETNAME
		CLIENT NONSENSE
		CLIENT
		HELLO x
		HELLO 1
		HELLO 4
		HELLO 2 NONSENSE
		HELLO 2 SETNAME
		HELLO 2 SETNAME "a b"
		HELLO 2 AUTH nobody x
		HELLO 2 AUTH x
		NONSENSE
		NONSENSE a b c
		"NON\r\nSENSE" "a\r\nb"
		"non\x00sense" "a\x00b"
		NONSENSE aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b c
		WAIT 0 -1
		WAIT 0 x
		WAIT x 0
		WAIT 0
		TIME x
		RESET`,
	"introspection": `
		COMMAND COUNT x
		COMMAND INFO nonsense
		COMMAND GETKEYS GET a
		COMMAND GETKEYS MSET a 1 b 2
		COMMAND GETKEYS MGET a b c
		COMMAND GETKEYS DEL a b c
		COMMAND GETKEYS RENAME a b
		COMMAND GETKEYS OBJECT ENCODING a
		COMMAND GETKEYS MEMORY USAGE a
		COMMAND GETKEYS PING
		COMMAND GETKEYS NONSENSE a
		COMMAND GETKEYS GET
		COMMAND GETKEYS
		COMMAND NONSENSE
		COMMAND DOCS nonsense
		CONFIG GET save
		CONFIG GET maxmemory
		CONFIG GET maxmemory-policy
		CONFIG GET nonsense
		CONFIG GET maxmemory nonsense MAXMEMORY
		CONFIG GET
		CONFIG NONSENSE
		SLOWLOG GET -2
		SLOWLOG GET x
		SLOWLOG GET 1 2
		SLOWLOG RESET
		SLOWLOG LEN
		SLOWLOG GET
		SLOWLOG NONSENSE
		SLOWLOG LEN x`,
	"RESP3": `
		HELLO 3 NONSENSE
		GET a
		CONFIG GET maxmemory
		MGET a b
		WATCH a
		SET a 1
		MULTI
		GET a
		EXEC
		CLIENT GETNAME
		COMMAND INFO nonsense
		COMMAND GETKEYS GET a`,
}

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

// usuallyApart is how long both answers to a command may take together if times to live in them are to be the same: they
// are rounded to seconds.
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
