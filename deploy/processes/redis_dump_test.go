//go:build processes

package processes

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// TestRedisDump imports what a real Redis has written: with its encodings of short and long values, with and without
// compression and checksum. The strings are there with their deadlines, and the keys of other types are counted.
func TestRedisDump(t *testing.T) {
	for i, settings := range [][]string{
		nil,
		{"--rdbcompression", "no", "--rdbchecksum", "no", "--maxmemory-policy", "allkeys-lru", "--maxmemory", "200mb"},
		{"--maxmemory-policy", "allkeys-lfu", "--maxmemory", "200mb", "--hash-max-listpack-entries", "0",
			"--set-max-intset-entries", "0", "--zset-max-listpack-entries", "0", "--list-max-listpack-size", "-1"},
	} {
		rng := draw(t, i)
		dir := t.TempDir()
		address := startRedis(t, append(settings, "--dir", dir)...)
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		r := &redisWriter{t: t, out: bufio.NewWriter(conn), in: bufio.NewReader(conn)}
		strings := r.fill(rng)
		r.do("SAVE")
		file := filepath.Join(dir, "dump.rdb")

		n := startOne(t)
		said := mustDo(t, "import", file, "--server="+n.url())
		t.Logf("%v: %s", settings, said)
		if want := fmt.Sprintf("imported %d pairs, skipped 29 (25 of other types, 4 of other databases), bad 0\n"+
			"25 keys of other types were left out: 5 hash, 5 list, 5 set, 5 zset, 5 stream\n",
			len(strings)); said[:min(len(said),
			len(want))] != want {
			t.Errorf("it said %s, want %s", said, want)
		}
		out := filepath.Join(dir, "out.ndjson")
		mustDo(t, "export", out, "--server="+n.url())
		compareStrings(t, out, strings)
		if _, err := os.Stat(file + ".pxkv-import"); err == nil {
			t.Error("the state of an import that has ended is still there")
		}
	}
}

// redisString is a value, and its deadline in Unix milliseconds or 0.
type redisString struct {
	value    string
	deadline int64
}

// redisWriter sends commands to Redis.
type redisWriter struct {
	t   *testing.T
	out *bufio.Writer
	in  *bufio.Reader
}

// do sends a command, and requires that it is not answered by an error.
func (r *redisWriter) do(args ...string) {
	r.t.Helper()
	fmt.Fprintf(r.out, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(r.out, "$%d\r\n%s\r\n", len(a), a)
	}
	r.out.Flush()
	line, err := r.in.ReadString('\n')
	if err != nil || strings.HasPrefix(line, "-") || strings.HasPrefix(line, "*") {
		r.t.Fatalf("%.100q: %q, %v", args, line, err)
	}
	if n, err := strconv.Atoi(strings.TrimSpace(line[1:])); err == nil && line[0] == '$' && n >= 0 {
		if _, err := io.CopyN(io.Discard, r.in, int64(n)+2); err != nil {
			r.t.Fatal(err)
		}
	}
}

// fill writes strings of all kinds, which it returns, and keys of all other types.
func (r *redisWriter) fill(rng *rand.Rand) map[string]redisString {
	all := map[string]redisString{}
	now := time.Now().UnixMilli()
	for i := range 400 {
		key := fmt.Sprintf("s%d", i)
		var v string
		switch rng.IntN(6) {
		case 0:
			v = strconv.FormatInt(int64(rng.Uint64())>>rng.IntN(64), 10)
		case 1:
			v = strings.Repeat("abc", rng.IntN(3000))
		case 2:
			b := make([]byte, rng.IntN(40_000))
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			v = string(b)
		case 3:
			v = strings.Repeat(strconv.Itoa(rng.IntN(1000)), rng.IntN(20))
		case 4:
			v = strings.Repeat("é", rng.IntN(100_000))
		}
		s := redisString{value: v}
		if r.do("SET", key, v); rng.IntN(3) == 0 {
			s.deadline = now + 3_600_000 + rng.Int64N(1<<40)
			r.do("PEXPIREAT", key, strconv.FormatInt(s.deadline, 10))
		}
		all[key] = s
	}
	for i, n := range []int{1, 10, 200, 700, 3} {
		name := func(what string) string { return fmt.Sprintf("%s%d", what, i) }
		for j := range n {
			text := strconv.Itoa(j)
			if i%2 == 1 {
				text += strings.Repeat("x", 100)
			}
			r.do("RPUSH", name("list"), text)
			r.do("SADD", name("set"), text)
			r.do("HSET", name("hash"), text, text)
			r.do("ZADD", name("zset"), strconv.Itoa(j)+".5", text)
			r.do("XADD", name("stream"), "*", "field", text)
		}
		r.do("XGROUP", "CREATE", name("stream"), "group", "$")
		r.do("XGROUP", "CREATECONSUMER", name("stream"), "group", "somebody")
	}
	r.do("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 1 end)")
	r.do("SELECT", "5")
	for i := range 3 {
		r.do("SET", fmt.Sprint("s", i), "of another database")
	}
	r.do("RPUSH", "list", "x")
	r.do("SELECT", "0")
	return all
}

// compareStrings requires that an export has these strings.
func compareStrings(t *testing.T, name string, want map[string]redisString) {
	t.Helper()
	f, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for d := json.NewDecoder(bytes.NewReader(f)); ; got++ {
		var pair struct {
			Key     string
			Value   json.RawMessage
			Expires time.Time
		}
		if err := d.Decode(&pair); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		w := want[pair.Key]
		var text string
		if utf8.ValidString(w.value) {
			err = json.Unmarshal(pair.Value, &text)
		} else {
			var binary struct {
				Base64 string `json:"$binary"`
			}
			var b []byte
			if err = json.Unmarshal(pair.Value, &binary); err == nil {
				b, err = base64.StdEncoding.DecodeString(binary.Base64)
			}
			text = string(b)
		}
		if err != nil || text != w.value {
			t.Errorf("%s is %.100q, %v, want %.100q", pair.Key, text, err, w.value)
		}
		if at := pair.Expires; at.IsZero() != (w.deadline == 0) || !at.IsZero() && at.UnixMilli() != w.deadline {
			t.Errorf("%s expires at %v, want %d", pair.Key, at, w.deadline)
		}
	}
	if got != len(want) {
		t.Errorf("there are %d pairs, want %d", got, len(want))
	}
}
