//go:build processes

package processes

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// What is no Redis protocol is answered and ended as Redis does it, and odd but sound input is
// understood as there.
func TestRedisOddInputIsAnsweredAsByRedis(t *testing.T) {
	real, ours := startRedis(t), startOne(t).resp
	for _, said := range []string{
		"PING\r\n", "PING\n", "ping\r\n", "  PING  \r\n", "\r\n\r\nPING\r\n", "PING \"a b\"\r\n", "PING 'a b'\r\n",
		"PING 'a\\'b'\r\n",
		"PING \"\\x41\\n\\t\\\\\\\"\"\r\n", "PING a\"b\"\r\n", "PING \"a\"b\r\n", "PING \"a\r\n", "PING 'a\r\n",
		"PING \"\"\r\n", "PING ''\r\n", "PING a\tb\r\n",
		"PING \xff\r\n", "SET a\r\n", "nonsense\r\n", "*0\r\nPING\r\n", "*-1\r\nPING\r\n", "*-5\r\nPING\r\n",
		"*1\r\n$4\r\nPING\r\n", "*1\r\n$4\r\npInG\r\n*1\r\n$4\r\nPING\r\n", "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n",
		"*2\r\n$4\r\nECHO\r\n$2\r\n\r\n\r\n",
		"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n", // the line break behind an argument is not looked at
		"*1\r\n$-1\r\n", "*1\r\n$-2\r\n", "*1\r\n$x\r\n", "*1\r\n$01\r\nx\r\n", "*1\r\n$+1\r\nx\r\n",
		"*1\r\n$ 1\r\nx\r\n", "*1\r\n$536870913\r\n", "*1\r\n$99999999999999999999\r\n",
		"*1\r\nPING\r\n", "*1\r\n:4\r\n", "*1\r\n\r\n", "*1\r\n*1\r\n", "*x\r\n", "*\r\n", "* 1\r\n", "*1x\r\n",
		"*01\r\n", "*2147483648\r\n", "*99999999999999999999\r\n",
		"$4\r\nPING\r\n", "+PING\r\n", "GET / HTTP/1.0\r\n\r\n",
		strings.Repeat("x", 70<<10), "*" + strings.Repeat("1", 70<<10), "*1\r\n$" + strings.Repeat("1", 70<<10),
		"*1\r\n" + strings.Repeat("x", 70<<10),
		"QUIT\r\nPING\r\n", "MULTI\r\nPING\r\nEXEC\r\n",
	} {
		want, got := conversation(t, real, said), conversation(t, ours, said)
		if want != got {
			t.Errorf("%.60q\nRedis answers %.300q\n we answer    %.300q", said, want, got)
		}
	}
}

// conversation sends some bytes and ends its side, and returns all that is answered.
func conversation(t *testing.T, address, said string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, said); err == nil {
		_ = c.(*net.TCPConn).CloseWrite()
	}
	// A server that closes with unread input resets the connection: what came before counts.
	answer, _ := io.ReadAll(c)
	return string(answer)
}

// Values up to 8 MiB go in and out, also many of them in one pipeline.
func TestRedisLargeValues(t *testing.T) {
	const limit = 8 << 20
	n := startOne(t)
	c := dialRedis(t, n.resp)
	large := strings.Repeat("v", limit)
	gets := [][]string{{"SET", "{l}a", large}, {"STRLEN", "{l}a"}, {"APPEND", "{l}a", "x"},
		{"SETRANGE", "{l}a", "8388607", "x"}, {"SETRANGE", "{l}a", "8388608", "x"}}
	got := c.do(gets...)
	for i, want := range []string{"+OK", ":8388608", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)",
		":8388608", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"} {
		if got[i] != want {
			t.Errorf("%.30q: %.80s, want %s", gets[i], got[i], want)
		}
	}
	var pipeline [][]string
	for range 12 { // 96 MiB of answers
		pipeline = append(pipeline, []string{"GET", "{l}a"})
	}
	for i, reply := range c.do(pipeline...) {
		if len(reply) != limit+3 || !strings.HasSuffix(reply, `vx"`) {
			t.Errorf("answer %d of the pipeline has %d bytes: %.80s", i, len(reply), reply)
		}
	}
	mget := []string{"MGET"}
	for range 20 {
		mget = append(mget, "{l}a")
	}
	if reply := c.do(mget[:8])[0]; len(reply) < 7*limit {
		t.Errorf("MGET of 56 MiB: %.100s", reply)
	}
	if reply := c.do(mget)[0]; !strings.HasPrefix(reply, "-ERR ") {
		t.Errorf("MGET of 160 MiB: %.100s", reply)
	}
	if _, err := fmt.Fprintf(c.net, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\n", limit+1); err != nil {
		t.Fatal(err)
	}
	reply, err := bufio.NewReader(c.in).ReadString('\n')
	if err != nil || reply != "-ERR Protocol error: invalid bulk length\r\n" {
		t.Errorf("a value of 8 MiB and a byte: %q, %v", reply, err)
	}
	peak, err := n.memoryPeak()
	t.Logf("%s held at most %d MiB in memory (%v)", n.name, peak>>20, err)
	if peak > 2<<30 || err != nil {
		t.Errorf("%s held %d bytes in memory (%v)", n.name, peak, err)
	}
}

// No client sees by the sizes of values how many of them a node can have in its hands at once: what names a
// long value often, or takes many values out or changes them, is answered as by Redis.
func TestRedisManyLongValuesAreAnsweredAsByRedis(t *testing.T) {
	const times, values = 9, 500
	sameThroughAnyNode(t, func(t *testing.T, address string, _ uint64) {
		redis := startRedis(t)
		both := func(t *testing.T, commands ...[]string) {
			t.Helper()
			want, got := dialRedis(t, redis).do(commands...), dialRedis(t, address).do(commands...)
			bad := 0
			for i := range want {
				if want[i] == got[i] {
					continue
				}
				if bad++; bad == 1 {
					t.Errorf("command %d, %.40q: Redis answers %.80s, we answer %.80s", i, commands[i], want[i], got[i])
				}
			}
			if bad > 1 {
				t.Errorf("%d of %d replies differ", bad, len(want))
			}
		}
		both(t, []string{"SET", "{f}L", strings.Repeat("v", 8<<20)})
		for _, name := range []string{"EXISTS", "TOUCH", "WATCH"} {
			t.Run(name+" of one long value", func(t *testing.T) {
				both(t, append([]string{name}, slices.Repeat([]string{"{f}L"}, times)...))
			})
		}
		long := strings.Repeat("w", 100<<10)
		for _, words := range [][]string{{"GETDEL"}, {"GETSET", "x"}, {"SET", "x", "GET"}, {"GETEX", "EX", "1000"}} {
			t.Run("many of "+words[0], func(t *testing.T) {
				var sets, commands [][]string
				for i := range values {
					key := fmt.Sprint("{f}", i)
					sets = append(sets, []string{"SET", key, long})
					commands = append(commands, slices.Concat(words[:1], []string{key}, words[1:]))
				}
				both(t, sets...)
				both(t, commands...)
			})
		}
		for _, words := range [][]string{{"TTL"}, {"STRLEN"}, {"GETRANGE", "1", "3"}, {"TYPE"}} {
			t.Run("many times "+words[0], func(t *testing.T) {
				both(t, slices.Repeat([][]string{slices.Concat(words[:1], []string{"{f}L"}, words[1:])}, times)...)
			})
		}
	})
}
